# SPDX-License-Identifier: Apache-2.0
"""Credentials are created, renewed and removed with a fake cluster that signs requests like a real one."""

from __future__ import annotations

import base64
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.qinling.kolla.plugins.action import kubernetes_credentials as action
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates, credentials
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.certificates import File
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("kubernetes_ca.crt", "kubernetes.crt", "kubernetes.key")


class Authority:
    """A certificate authority."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self.sign(self.name, self.key.public_key(), 3650, ca=True)

    def sign(self, subject: x509.Name, key: Any, days: int, ca: bool = False) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


SERVER, CLIENTS = Authority("kubernetes"), Authority("kubernetes-clients")


class Cluster:
    """A fake of a cluster's certificates API and of the controller that signs approved requests."""

    address = "https://192.0.2.1:6443"

    def __init__(
        self, *, versions: tuple[str, ...] = ("v1", "v1beta1"), signer: Authority = SERVER, days: int = 365
    ) -> None:
        self.versions, self.signer, self.days = versions, signer, days
        self.requests: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.condition: dict[str, str] | None = None
        self.signs = True

    def authorities(self) -> bytes:
        return SERVER.pem

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        self.calls.append(
            (method, path.rpartition("/")[2] if "qinling-" not in path else path.partition("qinling-")[2][16:])
        )
        if path == "/version":
            return {}
        if path.endswith("/extension-apiserver-authentication"):
            return {"data": {"client-ca-file": CLIENTS.pem.decode()}}
        if path == "/apis/certificates.k8s.io":
            return {"versions": [{"version": version} for version in self.versions]}
        api, _unused, rest = path.removeprefix("/apis/certificates.k8s.io/").partition("/certificatesigningrequests")
        assert api == self.versions[0]
        name = rest.strip("/").removesuffix("/approval")
        if method == "POST":
            assert body is not None
            assert body["apiVersion"] == f"certificates.k8s.io/{api}"
            self.requests[body["metadata"]["name"]] = {**body, "status": {}}
            return self.requests[body["metadata"]["name"]]
        if method == "DELETE":
            return self.requests.pop(name)
        if method == "PUT":
            assert body is not None
            self.requests[name]["status"] = self.sign(body)
        return self.requests[name]

    def sign(self, body: Mapping[str, Any]) -> dict[str, Any]:
        conditions = body["status"]["conditions"]
        assert [(condition["type"], condition["status"]) for condition in conditions] == [("Approved", "True")]
        if self.condition:
            return {"conditions": [*conditions, self.condition]}
        if not self.signs:
            return {"conditions": conditions}
        assert body["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client"
        assert "client auth" in body["spec"]["usages"]
        raw = base64.b64decode(body["spec"]["request"])
        assert b"PRIVATE" not in raw
        request = x509.load_pem_x509_csr(raw)
        assert request.is_signature_valid
        days = body["spec"].get("expirationSeconds", self.days * 86400) // 86400
        signed = self.signer.sign(request.subject, request.public_key(), days)
        return {"conditions": conditions, "certificate": base64.b64encode(signed).decode()}


def run(directory: Path, cluster: Cluster, check: bool = False, password: str = "", **options: Any) -> dict[str, Any]:
    """Run the action and return its result."""
    loader = DataLoader()
    if password:
        secrets = [("default", VaultSecret(password.encode()))]
        loader.set_vault_secrets(secrets)
    args = {"kubeconfig": "/k", "directory": str(directory), "user": "qinling", **options}
    task = mock.Mock(args=args, check_mode=check, diff=True, async_val=0)
    plugin = action.ActionModule(task, mock.Mock(), mock.Mock(), loader, mock.Mock(), mock.Mock())
    with mock.patch.object(action, "Cluster", return_value=cluster):
        result = plugin.run()
    assert not cluster.requests, "a request was left behind"
    assert "PRIVATE KEY-----" not in str(result)
    return result


def verdict(directory: Path) -> certificates.Verdict:
    files = {role: File(name, (directory / name).read_bytes()) for role, name in certificates.NAMES.items()}
    return certificates.examine(files, datetime.now(UTC), 0)


def files_of(result: Mapping[str, Any]) -> list[str]:
    return [Path(path).name for path in result["files"]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "config" / "qinling" / "qinling-engine"


@pytest.mark.parametrize("versions", [("v1", "v1beta1"), ("v1beta1",)])
def test_credentials_are_created_once(directory: Path, versions: tuple[str, ...]) -> None:
    planned = run(directory, Cluster(versions=versions), check=True)
    assert (planned["changed"], files_of(planned), directory.exists()) == (True, list(NAMES), False)

    created = run(directory, Cluster(versions=versions))
    assert (created["changed"], files_of(created), created["reason"]) == (
        True,
        list(NAMES),
        "no certificate exists yet",
    )
    assert (created["kube_host"], created["user"]) == (Cluster.address, "qinling")
    assert verdict(directory).findings == []
    assert sorted(path.name for path in directory.iterdir()) == sorted(NAMES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}

    contents = {name: (directory / name).read_bytes() for name in NAMES}
    for check in (True, False):
        cluster = Cluster(versions=versions)
        again = run(directory, cluster, check=check)
        assert (again["changed"], again["files"], again["reason"]) == (False, [], "")
        assert {method for method, _unused in cluster.calls} == {"GET"}
    assert {name: (directory / name).read_bytes() for name in NAMES} == contents


@pytest.mark.parametrize(
    ("days", "renew_days"),
    [
        pytest.param(365, 366, id="renew_days exceeds the lifetime"),
        pytest.param(9, 30, id="the cluster issues short lifetimes"),
    ],
)
def test_new_certificate_is_not_renewed_immediately(directory: Path, days: int, renew_days: int) -> None:
    run(directory, Cluster(days=days))
    assert run(directory, Cluster(days=days), renew_days=renew_days)["changed"] is False


def advance_clock(directory: Path, days_left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance the clock until a certificate of 365 days has `days_left`."""
    now = datetime.now(UTC) + timedelta(days=365 - days_left)
    monkeypatch.setattr(action, "datetime", mock.Mock(now=lambda _zone: now))


def test_certificate_is_renewed_before_expiry(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(directory, Cluster())
    advance_clock(directory, 31, monkeypatch)
    assert run(directory, Cluster())["changed"] is False
    advance_clock(directory, 29, monkeypatch)
    planned = run(directory, Cluster(), check=True)
    assert (planned["changed"], files_of(planned)) == (True, ["kubernetes.crt", "kubernetes.key"])
    assert planned["reason"].startswith("it expires on ")
    assert "after" in planned["diff"]


def test_requested_renewal_replaces_key_and_certificate(directory: Path) -> None:
    run(directory, Cluster())
    before = (directory / "kubernetes.key").read_bytes()
    assert files_of(run(directory, Cluster(), renew=True)) == ["kubernetes.crt", "kubernetes.key"]
    assert (directory / "kubernetes.key").read_bytes() != before
    assert verdict(directory).findings == []


def break_key(directory: Path) -> None:
    (directory / "kubernetes.key").write_text("-----BEGIN PRIVATE KEY-----\n")


def remove_key(directory: Path) -> None:
    (directory / "kubernetes.key").unlink()


def swap_key(directory: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "kubernetes.key").write_bytes(other.private_bytes(*form))


def another_cluster(directory: Path) -> None:
    key = serialization.load_pem_private_key((directory / "kubernetes.key").read_bytes(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "qinling")])
    (directory / "kubernetes.crt").write_bytes(Authority("another").sign(name, key.public_key(), 365))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_key, "is truncated"),
        (remove_key, "is missing"),
        (swap_key, "does not belong to"),
        (another_cluster, 'is signed by "CN=another"'),
    ],
)
def test_broken_credentials_are_replaced(directory: Path, damage: Any, reason: str) -> None:
    run(directory, Cluster())
    damage(directory)
    assert reason in run(directory, Cluster())["reason"]
    assert verdict(directory).findings == []


def test_new_user_gets_a_new_certificate(directory: Path) -> None:
    run(directory, Cluster())
    result = run(directory, Cluster(), user="functions")
    assert (result["reason"], result["user"]) == ('it belongs to user "qinling", not "functions"', "functions")


def test_outdated_ca_and_modes_are_corrected_without_renewal(directory: Path) -> None:
    run(directory, Cluster())
    (directory / "kubernetes_ca.crt").write_bytes(CLIENTS.pem)
    (directory / "kubernetes.key").chmod(0o644)
    for check in (True, False):
        cluster = Cluster()
        result = run(directory, cluster, check=check)
        assert files_of(result) == ["kubernetes_ca.crt", "kubernetes.key"]
        assert result["reason"] == "the cluster's CA has changed"
        assert {method for method, _unused in cluster.calls} == {"GET"}
    assert (directory / "kubernetes_ca.crt").read_bytes() == SERVER.pem
    assert stat.S_IMODE((directory / "kubernetes.key").stat().st_mode) == 0o600


def test_separate_ca_for_clients_is_appended(directory: Path) -> None:
    run(directory, Cluster(signer=CLIENTS))
    assert (directory / "kubernetes_ca.crt").read_bytes() == SERVER.pem + CLIENTS.pem
    assert verdict(directory).findings == []
    assert run(directory, Cluster(signer=CLIENTS))["changed"] is False


def test_unusable_certificate_changes_nothing(directory: Path) -> None:
    result = run(directory, Cluster(signer=Authority("unknown")))
    assert result["failed"]
    assert 'cannot be used: is signed by "CN=unknown"' in result["msg"]
    assert not directory.exists()


def test_requested_lifetime_is_used(directory: Path) -> None:
    run(directory, Cluster(), days=90)
    expires = verdict(directory).expires
    assert expires
    assert 88 < (expires - datetime.now(UTC)).days < 91


def test_key_is_encrypted_and_stays_encrypted(directory: Path) -> None:
    assert "cannot be encrypted" in run(directory, Cluster(), encrypt=True)["msg"]
    assert not directory.exists()

    run(directory, Cluster(), password="one", encrypt=True)
    raw = (directory / "kubernetes.key").read_bytes()
    assert raw.startswith(b"$ANSIBLE_VAULT")
    assert (directory / "kubernetes.crt").read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    assert run(directory, Cluster(), password="one")["changed"] is False
    assert "cannot be read" in run(directory, Cluster())["msg"]

    run(directory, Cluster(), password="one", renew=True)
    renewed = (directory / "kubernetes.key").read_bytes()
    assert renewed.startswith(b"$ANSIBLE_VAULT")
    vault = VaultLib([("default", VaultSecret(b"one"))])
    assert vault.decrypt(renewed).startswith(b"-----BEGIN PRIVATE KEY")
    assert vault.decrypt(renewed) != vault.decrypt(raw)
    # Removal does not need the password.
    assert run(directory, Cluster(), state="absent")["changed"] is True


def test_absent_only_removes_files_of_the_user(directory: Path) -> None:
    run(directory, Cluster())
    assert run(directory, Cluster(), state="absent", user="functions")["changed"] is False
    planned = run(directory, Cluster(), state="absent", check=True)
    assert (planned["changed"], len(list(directory.iterdir()))) == (True, 3)
    result = run(directory, Cluster(), state="absent")
    assert (files_of(result), list(directory.iterdir())) == (list(NAMES), [])
    assert result["user"] == "qinling"
    assert run(directory, Cluster(), state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signs": False}, "was approved, but not signed within 1 s"),
        ({"condition": {"type": "Denied", "message": "not you"}}, "signer reports Denied: not you"),
        ({"condition": {"type": "Failed"}}, "signer reports Failed: no reason given"),
        ({"versions": ("v2",)}, "does not offer certificates.k8s.io"),
    ],
)
def test_refused_requests_are_reported_and_deleted(directory: Path, change: dict[str, Any], message: str) -> None:
    cluster = Cluster()
    for name, value in change.items():
        setattr(cluster, name, value)
    with mock.patch.object(credentials.time, "sleep"):
        result = run(directory, cluster, wait=1)
    assert result["failed"]
    assert message in result["msg"]
    assert not directory.exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"user": ""}, "option user is missing"),
        ({"state": "gone"}, "state must be present or absent"),
        ({"key": "x"}, "unknown option key"),
    ],
)
def test_invalid_options_are_refused(directory: Path, args: dict[str, Any], message: str) -> None:
    with pytest.raises(action.AnsibleActionFail, match=message):
        run(directory, Cluster(), **args)


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"%s}}]
users: [{name: u, user: {token: secret-token}}]
"""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; set qinling_kubernetes_admin_kubeconfig"),
        ("a: {secret-token\n", "is not a kubeconfig: not YAML, line 2"),
        ("apiVersion: v1\n", "is not a usable kubeconfig"),
        (KUBECONFIG % "", "has no CA for https://127.0.0.1:1"),
        (KUBECONFIG % ", insecure-skip-tls-verify: true", "has no CA for https://127.0.0.1:1"),
        (KUBECONFIG % ", certificate-authority-data: CA", "cannot be used"),
    ],
)
def test_invalid_kubeconfig_is_reported(tmp_path: Path, content: str | None, message: str) -> None:
    pytest.importorskip("kubernetes")
    path = tmp_path / "kubeconfig"
    if content is not None:
        authority = base64.b64encode(SERVER.pem).decode()
        path.write_text(content.replace("authority-data: CA", f"authority-data: {authority}"))
    task = mock.Mock(
        args={"kubeconfig": str(path), "directory": str(tmp_path), "user": "q"},
        check_mode=False,
        diff=False,
        async_val=0,
    )
    plugin = action.ActionModule(task, mock.Mock(), mock.Mock(), DataLoader(), mock.Mock(), mock.Mock())
    with mock.patch("urllib3.util.retry.Retry.DEFAULT", 0):
        result = plugin.run()
    assert result["failed"]
    assert message in result["msg"]
    assert "secret-token" not in result["msg"]

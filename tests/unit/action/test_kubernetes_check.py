# SPDX-License-Identifier: Apache-2.0
"""The action kubernetes_check: what it sends to the host, and its own findings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import Templar
from ansible_collections.qinling.kolla.plugins.action import kubernetes_check as action
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MANIFEST = Path(__file__).resolve().parents[3] / "roles/qinling/files/kubernetes-rbac.yml"
KOLLA = {"ca": "kubernetes_ca.crt", "certificate": "kubernetes.crt", "key": "kubernetes.key"}
MAGNUM = {"ca": "ca.pem", "certificate": "cert.pem", "key": "key.pem"}
VALID = {
    "hostname": "engine1",
    "status": 200,
    "version": {"major": "1", "minor": "33", "gitVersion": "v1.33.1"},
    "denied": [],
}


def credentials(days: int = 300) -> dict[str, bytes]:
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _number in range(2))

    def sign(name: str, public: Any, ca: bool) -> bytes:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")]))
            .public_key(public)
            .serial_number(1)
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(ca_key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "ca": sign("kubernetes", ca_key.public_key(), True),
        "certificate": sign("qinling", key.public_key(), False),
        "key": key.private_bytes(*form),
    }


FILES = credentials()


def write(directory: Path, names: dict[str, str], files: dict[str, bytes]) -> None:
    directory.mkdir(exist_ok=True)
    for role, content in files.items():
        (directory / names[role]).write_bytes(content)
        (directory / names[role]).chmod(0o600)


class Run:
    """A run of the action, whose module returns `seen`."""

    def __init__(self, folder: Path, seen: dict[str, Any] | None = None, password: str = "", **options: Any) -> None:
        self.sent: dict[str, Any] = {}
        loader = DataLoader()
        if password:
            loader.set_vault_secrets([("default", VaultSecret(password.encode()))])
        paths = {KOLLA[role]: [str(folder / "magnum" / MAGNUM[role]), str(folder / KOLLA[role])] for role in KOLLA}
        args = {"kube_host": "https://10.0.0.1:6443", "files": paths, "manifest": str(MANIFEST), **options}
        variables = {"region": "one"}
        task = mock.Mock(args=args, check_mode=True, diff=False, async_val=0)
        templar = Templar(loader=loader, variables=variables)
        plugin = action.ActionModule(task, mock.Mock(), mock.Mock(), loader, templar, mock.Mock())

        def execute(_name: str, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
            self.sent = module_args
            return {"changed": False, "seen": VALID if seen is None else seen}

        with mock.patch.object(plugin, "_execute_module", execute), mock.patch.object(action, "Display") as display:
            self.result = plugin.run(task_vars=variables)
        self.warnings = [call.args[0] for call in display.return_value.warning.call_args_list]
        assert "PRIVATE KEY-----" not in str(self.result)


def test_valid_files_are_sent_with_the_access_reviews(tmp_path: Path) -> None:
    write(tmp_path, KOLLA, FILES)
    run = Run(tmp_path, namespace="functions", timeout=3)
    assert run.sent["kube_host"] == "https://10.0.0.1:6443"
    assert {role: run.sent[role].encode() for role in KOLLA} == FILES
    assert run.sent["timeout"] == 3
    assert {attributes["namespace"] for attributes in run.sent["access"]} == {"functions"}
    assert not run.result.get("failed")
    assert (run.result["findings"], run.result["user"], run.result["server_version"]) == ([], "qinling", "v1.33.1")
    assert run.warnings == []


def test_first_existing_path_is_used(tmp_path: Path) -> None:
    write(tmp_path, KOLLA, FILES)
    other = credentials()
    write(tmp_path / "magnum", MAGNUM, other)
    assert Run(tmp_path).sent["key"].encode() == other["key"]


def test_encrypted_key_is_decrypted_in_memory(tmp_path: Path) -> None:
    vault = VaultLib([("default", VaultSecret(b"one"))])
    write(tmp_path, KOLLA, {**FILES, "key": vault.encrypt(FILES["key"])})
    (tmp_path / "kubernetes.key").chmod(0o644)
    before = sorted(tmp_path.iterdir())
    run = Run(tmp_path, password="one")
    assert run.sent["key"].encode() == FILES["key"]
    assert (run.warnings, sorted(tmp_path.iterdir())) == ([], before)

    locked = Run(tmp_path)
    assert "key" not in locked.sent
    assert [finding for finding in locked.result["findings"] if "kubernetes.key: cannot be read" in finding]


def test_problems_of_files_and_cluster_are_one_message(tmp_path: Path) -> None:
    write(tmp_path, KOLLA, FILES)
    (tmp_path / "kubernetes.key").unlink()
    (tmp_path / "kubernetes.crt").write_text("nothing")
    refused = {"hostname": "engine1", "trouble": {"kind": "refused", "text": "10.0.0.1"}}
    run = Run(tmp_path, refused)
    assert set(run.sent) == {"kube_host", "ca", "access", "timeout"}
    assert run.result["failed"]
    starts = [finding.split(": ")[0] for finding in run.result["findings"]]
    assert starts == [str(tmp_path / "kubernetes.crt"), str(tmp_path / "magnum/key.pem"), "qinling_kube_host"]
    assert f"does not exist (nor does {tmp_path / 'kubernetes.key'})" in run.result["msg"]
    assert all(f"- {finding}" in run.result["msg"] for finding in run.result["findings"])
    gathered = Run(tmp_path, refused, fail=False).result
    assert (gathered["findings"], gathered.get("failed")) == (run.result["findings"], None)


def test_module_does_not_run_without_an_address(tmp_path: Path) -> None:
    write(tmp_path, KOLLA, FILES)
    run = Run(tmp_path, kube_host="")
    assert run.sent == {}
    assert run.result["findings"][0].startswith("qinling_kube_host: is not set")


@pytest.mark.parametrize(
    ("texts", "kube_host", "namespace"),
    [
        (["[kubernetes]\nkube_host = https://10.0.0.2:6443\n"], "https://10.0.0.2:6443", "qinling"),
        (
            ["[kubernetes]\nkube_host = https://a\n", None, "[kubernetes]\nkube_host = https://b\nnamespace=n\n"],
            "https://b",
            "n",
        ),
        (["[kubernetes]\nkube_host = https://{{ region }}.example.org\n"], "https://one.example.org", "qinling"),
        (["[api]\nkube_host = https://a\n"], "https://10.0.0.1:6443", "qinling"),
    ],
)
def test_section_of_the_operator_takes_precedence(
    tmp_path: Path, texts: list[str | None], kube_host: str, namespace: str
) -> None:
    write(tmp_path, KOLLA, FILES)
    paths = [tmp_path / f"{number}.conf" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        if text is not None:
            path.write_text(text)
    run = Run(tmp_path, overrides=[str(path) for path in paths])
    assert (run.sent["kube_host"], run.result["kube_host"]) == (kube_host, kube_host)
    assert run.sent["access"][0]["namespace"] == namespace


def test_invalid_section_is_reported(tmp_path: Path) -> None:
    write(tmp_path, KOLLA, FILES)
    broken, missing = tmp_path / "broken.conf", tmp_path / "undefined.conf"
    broken.write_text("[kubernetes\n")
    missing.write_text("\n[kubernetes]\nkube_host = {{ nowhere }}\n")
    findings = Run(tmp_path, overrides=[str(broken), str(missing)]).result["findings"]
    assert {finding.split(": ")[0] for finding in findings} == {f"{broken}:1", f"{missing}:3"}


def test_readable_key_and_upcoming_expiry_are_warnings(tmp_path: Path) -> None:
    write(tmp_path, KOLLA, credentials(days=10))
    (tmp_path / "kubernetes.key").chmod(0o644)
    run = Run(tmp_path)
    assert run.result["findings"] == []
    assert [warning.split(": ")[0] for warning in run.warnings] == [
        str(tmp_path / name) for name in ("kubernetes_ca.crt", "kubernetes.crt", "kubernetes.key")
    ]
    assert "every user of this machine can read the private key" in run.warnings[2]
    assert len(Run(tmp_path, warn_days=3).warnings) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"manifest": ""}, "option manifest is missing"),
        ({"directory": "/x"}, "unknown option directory"),
        ({"manifest": "/nonexistent"}, "the manifest /nonexistent"),
        ({"files": {"kubernetes.crt": "/x"}}, "option files has no kubernetes_ca.crt"),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(action.AnsibleActionFail, match=message):
        Run(tmp_path, **options)

# SPDX-License-Identifier: Apache-2.0
"""Messages about the connection to a Kubernetes cluster."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import cluster
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.rbac import Manifest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

URL = "https://api.example.org:6443"
MANIFEST = Manifest.load(
    "{kind: Role, metadata: {name: r}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, create]}]}",
    "q",
)


@cache
def certificate(name: str, signer: str, names: tuple[str, ...] = ()) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer)]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2030, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2031, 1, 1, tzinfo=UTC))
    )
    if names:
        alternatives: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(item)) if item[0].isdigit() else x509.DNSName(item) for item in names
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, hashes.SHA256())


CA = certificate("cluster-a", "cluster-a").public_bytes(serialization.Encoding.PEM).decode()


def server(signer: str, names: tuple[str, ...] = ()) -> str:
    return base64.b64encode(certificate("apiserver", signer, names).public_bytes(serialization.Encoding.DER)).decode()


def untrusted(signer: str, code: int, text: str) -> dict[str, Any]:
    return {"untrusted": {"code": code, "text": text}, "server_certificate": server(signer)}


NO_ISSUER = "unable to get local issuer certificate"
# Results of the module, and the expected message.
RESULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another CA": (
        untrusted("cluster-b", 20, NO_ISSUER),
        f'{URL} presents a certificate signed by "CN=cluster-b", but the CA file contains "CN=cluster-a"; '
        f"expected the CA of this cluster ({NO_ISSUER})",
    ),
    "renewed CA": (
        untrusted("cluster-a", 20, NO_ISSUER),
        f'{URL} presents a certificate signed by "CN=cluster-a", but the CA file contains "CN=cluster-a" '
        "(same name, but another key: the CA was renewed, or belongs to another cluster); "
        f"expected the CA of this cluster ({NO_ISSUER})",
    ),
    "server's certificate expired": (
        untrusted("cluster-a", 10, "certificate has expired"),
        f"{URL} presents a certificate that is valid from 2030-01-01 00:00 UTC to 2031-01-01 00:00 UTC only "
        "(certificate has expired); renew it there, or correct the host's clock",
    ),
    "name not in the certificate": (
        {"name_mismatch": True, "server_certificate": server("cluster-a", ("kubernetes", "10.96.0.1"))},
        f'{URL} presents a certificate that is not valid for "api.example.org", but for: kubernetes, 10.96.0.1; '
        "set qinling_kube_host to one of these names, or renew the API server's certificate with this name",
    ),
    "no name in the certificate": (
        {"name_mismatch": True, "server_certificate": server("cluster-a")},
        f'{URL} presents a certificate that is not valid for "api.example.org", but for: no name; '
        "set qinling_kube_host to one of these names, or renew the API server's certificate with this name",
    ),
    "unresolved": (
        {"trouble": {"kind": "unresolved", "text": "Name or service not known"}},
        "api.example.org in qinling_kube_host cannot be resolved on engine1 "
        "(Name or service not known); check the name, or the host's DNS and /etc/hosts",
    ),
    "refused": (
        {"trouble": {"kind": "refused", "text": "192.0.2.1"}},
        "api.example.org port 6443 refuses the connection from engine1 (at 192.0.2.1): no process listens; "
        "check the port, and that the API server is running",
    ),
    "timeout": (
        {"trouble": {"kind": "timeout", "text": "192.0.2.1"}},
        (
            "api.example.org port 6443 does not respond to engine1 in time (192.0.2.1); "
            "check firewalls, the address and the server"
        ),
    ),
    "no route": (
        {"trouble": {"kind": "unreachable", "text": "192.0.2.1: No route to host"}},
        (
            "api.example.org port 6443 cannot be reached from engine1 (192.0.2.1: "
            "No route to host); check the address and routes"
        ),
    ),
    "no TLS": (
        {"trouble": {"kind": "no-tls", "text": "WRONG_VERSION_NUMBER"}},
        "api.example.org port 6443 does not speak TLS (WRONG_VERSION_NUMBER); is this the API server's secure port?",
    ),
    "rejected in the handshake": (
        {"trouble": {"kind": "rejected", "text": "TLSV1_ALERT_UNKNOWN_CA"}},
        f"{URL} closed the connection after the certificate was sent (TLSV1_ALERT_UNKNOWN_CA): it does not trust its "
        "CA; request a certificate from this cluster (playbook qinling.kolla.kubernetes_credentials)",
    ),
    "closed early": (
        {"trouble": {"kind": "broken", "text": "Connection reset by peer"}},
        f"{URL} closed the connection early (Connection reset by peer); "
        "check the API server and proxies in front of it",
    ),
    "key unusable on the host": (
        {"trouble": {"kind": "unusable", "text": "EE_KEY_TOO_SMALL"}},
        "the certificate or key cannot be used on engine1 (EE_KEY_TOO_SMALL); request a new one "
        "(playbook qinling.kolla.kubernetes_credentials)",
    ),
    "401": (
        {"status": 401, "message": "Unauthorized"},
        f"{URL} does not accept the certificate (401 Unauthorized): the API server does not trust its CA for clients "
        "(--client-ca-file), or it is not valid by the server's clock; request a certificate from this cluster "
        "(playbook qinling.kolla.kubernetes_credentials)",
    ),
    "not Kubernetes": (
        {"status": 404, "message": ""},
        f"{URL}/version responds with 404, unlike a Kubernetes API server; "
        "check the address and the state of the server",
    ),
    "server unavailable": (
        {"status": 503, "message": "starting"},
        (
            f"{URL}/version responds with 503 starting, unlike a Kubernetes API server; "
            "check the address and the state of the server"
        ),
    ),
    "too old": (
        {"status": 200, "version": {"major": "1", "minor": "15+", "gitVersion": "v1.15.12-gke"}, "denied": []},
        f"{URL} is Kubernetes v1.15.12-gke; expected at least 1.16; upgrade it",
    ),
    "no version": (
        {"status": 200, "version": {"major": "", "minor": "", "gitVersion": ""}, "denied": []},
        f"{URL}/version does not contain a version; is this a Kubernetes API server?",
    ),
    "permission review denied": (
        {"status": 200, "version": {"major": "1", "minor": "33"}, "review_status": 403, "review_message": "forbidden"},
        f'{URL} does not let "qinling" query its own permissions (403 forbidden); '
        "bind the ClusterRole system:basic-user to system:authenticated",
    ),
    "permission missing": (
        {
            "status": 200,
            "version": {"major": "1", "minor": "33"},
            "denied": [{"namespace": "q", "verb": "create", "group": "apps", "resource": "deployments"}],
        },
        'the certificate\'s user "qinling" lacks 1 of 2 permissions:\n'
        "      create deployments.apps in namespace q\n"
        "    Grant them as an administrator: run the playbook qinling.kolla.kubernetes_credentials, "
        "or kubectl apply -f - with\n"
        "      kind: Role\n"
        "      metadata: {name: r, namespace: q}\n"
        "      rules:\n"
        "      - apiGroups: [apps]\n"
        "        resources: [deployments]\n"
        "        verbs: [get, create]",
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_each_problem_has_its_message(name: str) -> None:
    seen, message = RESULTS[name]
    assert cluster.findings(URL, CA, "qinling", MANIFEST, {"hostname": "engine1", **seen}) == [message]


@pytest.mark.parametrize("minor", ["16", "20+", "35"])
def test_valid_cluster_has_no_findings(minor: str) -> None:
    seen = {"status": 200, "version": {"major": "1", "minor": minor}, "denied": []}
    assert cluster.findings(URL, CA, "qinling", MANIFEST, seen) == []


def test_several_problems_are_reported_together() -> None:
    seen = {**RESULTS["name not in the certificate"][0], **RESULTS["401"][0]}
    assert len(cluster.findings(URL, CA, "qinling", MANIFEST, seen)) == 2


@pytest.mark.parametrize(
    ("address", "start"),
    [
        ("", "is not set, but qinling_kubernetes_certificates is enabled"),
        ("http://10.0.0.1:8001", 'does not start with https:// ("http://10.0.0.1:8001")'),
        ("10.0.0.1:6443", 'does not start with https:// ("10.0.0.1:6443")'),
        ("https://", 'has no host or an invalid port ("https://")'),
        ("https://:6443", 'has no host or an invalid port ("https://:6443")'),
        ("https://a:x", 'is not an address ("https://a:x": Port could not be cast'),
        ("https://a:99999", 'is not an address ("https://a:99999": Port out of range'),
        ("https://[::1", 'is not an address ("https://[::1": Invalid IPv6 URL'),
        ("https://me:secret@a", "contains more than host, port and path"),
        ("https://a/?x=1", "contains more than host, port and path"),
    ],
)
def test_invalid_address_is_reported(address: str, start: str) -> None:
    problem = cluster.address_problem(address)
    assert problem.startswith(start)
    assert "https://192.0.2.10:6443" in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "address", [URL, "https://10.0.0.1", "https://[2001:db8::1]:6443", "https://a/k8s/clusters/c-1"]
)
def test_valid_address_passes(address: str) -> None:
    assert cluster.address_problem(address) == ""

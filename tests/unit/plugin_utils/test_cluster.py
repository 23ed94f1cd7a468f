# SPDX-License-Identifier: Apache-2.0
"""What was seen on the way to a cluster, and the message that it becomes."""

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
        known: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
    return builder.sign(key, hashes.SHA256())


CA = certificate("cluster-a", "cluster-a").public_bytes(serialization.Encoding.PEM).decode()


def server(signer: str, names: tuple[str, ...] = ()) -> str:
    return base64.b64encode(certificate("apiserver", signer, names).public_bytes(serialization.Encoding.DER)).decode()


def untrusted(signer: str, code: int, text: str) -> dict[str, Any]:
    return {"untrusted": {"code": code, "text": text}, "server_certificate": server(signer)}


LOST = "unable to get local issuer certificate"
# What was seen, and the whole message.
SEEN: dict[str, tuple[dict[str, Any], str]] = {
    "another CA": (
        untrusted("cluster-b", 20, LOST),
        f'{URL} presents a certificate signed by "CN=cluster-b", and the CA file holds "CN=cluster-a"; '
        f"put the CA of this cluster there ({LOST})",
    ),
    "a CA made anew": (
        untrusted("cluster-a", 20, LOST),
        f'{URL} presents a certificate signed by "CN=cluster-a", and the CA '
        'file holds "CN=cluster-a" (the same name, but '
        f"another key: the CA was made anew, or is of another cluster); put the CA of this cluster there ({LOST})",
    ),
    "server's certificate expired": (
        untrusted("cluster-a", 10, "certificate has expired"),
        f"{URL} presents a certificate that is valid from 2030-01-01 00:00 UTC to 2031-01-01 00:00 UTC only "
        "(certificate has expired); renew it there, or set the host's clock right",
    ),
    "name not in the certificate": (
        {"name_mismatch": True, "server_certificate": server("cluster-a", ("kubernetes", "10.96.0.1"))},
        f'{URL} presents a certificate that is not for "api.example.org"; it is '
        "for: kubernetes, 10.96.0.1; use one of these "
        "in qinling_kube_host, or have the API server's certificate made anew with this name",
    ),
    "no name in the certificate": (
        {"name_mismatch": True, "server_certificate": server("cluster-a")},
        f'{URL} presents a certificate that is not for "api.example.org"; it is for: no name at all; use one of these '
        "in qinling_kube_host, or have the API server's certificate made anew with this name",
    ),
    "unresolved": (
        {"trouble": {"kind": "unresolved", "text": "Name or service not known"}},
        "api.example.org in qinling_kube_host can not be resolved on engine1 "
        "(Name or service not known); check the name, "
        "or the host's DNS and /etc/hosts",
    ),
    "refused": (
        {"trouble": {"kind": "refused", "text": "192.0.2.1"}},
        "api.example.org port 6443 refuses the connection from engine1 (at "
        "192.0.2.1): nothing listens there; check the "
        "port, and that the API server runs",
    ),
    "timeout": (
        {"trouble": {"kind": "timeout", "text": "192.0.2.1"}},
        (
            "api.example.org port 6443 does not answer engine1 in time (192.0.2.1): a "
            "firewall, a wrong address or a host that is down"
        ),
    ),
    "no route": (
        {"trouble": {"kind": "unreachable", "text": "192.0.2.1: No route to host"}},
        (
            "api.example.org port 6443 can not be reached from engine1 (192.0.2.1: "
            "No route to host); check address and routes"
        ),
    ),
    "no TLS": (
        {"trouble": {"kind": "no-tls", "text": "WRONG_VERSION_NUMBER"}},
        "api.example.org port 6443 does not speak TLS (WRONG_VERSION_NUMBER); is this the API server's secure port?",
    ),
    "rejected in the handshake": (
        {"trouble": {"kind": "rejected", "text": "TLSV1_ALERT_UNKNOWN_CA"}},
        f"{URL} ended the connection when it saw the certificate "
        "(TLSV1_ALERT_UNKNOWN_CA): it does not trust the CA that "
        "signed it; have this cluster sign it (playbook qinling.kolla.kubernetes_credentials does)",
    ),
    "broken off": (
        {"trouble": {"kind": "broken", "text": "Connection reset by peer"}},
        f"{URL} ended the connection midway (Connection reset by peer); check the API server and what is before it",
    ),
    "key unusable on the host": (
        {"trouble": {"kind": "unusable", "text": "EE_KEY_TOO_SMALL"}},
        "the certificate or key can not be used on engine1 (EE_KEY_TOO_SMALL); have it signed anew (playbook "
        "qinling.kolla.kubernetes_credentials does)",
    ),
    "401": (
        {"status": 401, "message": "Unauthorized"},
        f"{URL} does not accept the certificate (401 Unauthorized): its CA is "
        "not the one that this API server trusts for "
        "clients (--client-ca-file), or the certificate is not valid by the server's clock; have this cluster sign it "
        "(playbook qinling.kolla.kubernetes_credentials does)",
    ),
    "something else than Kubernetes": (
        {"status": 404, "message": ""},
        f"{URL}/version answers 404, not as a Kubernetes API server does; is this its address, and is the server well?",
    ),
    "server not well": (
        {"status": 503, "message": "starting"},
        (
            f"{URL}/version answers 503 starting, not as a Kubernetes API server does; "
            "is this its address, and is the server well?"
        ),
    ),
    "too old": (
        {"status": 200, "version": {"major": "1", "minor": "15+", "gitVersion": "v1.15.12-gke"}, "denied": []},
        f"{URL} is Kubernetes v1.15.12-gke; at least 1.16 is needed: upgrade it",
    ),
    "no version": (
        {"status": 200, "version": {"major": "", "minor": "", "gitVersion": ""}, "denied": []},
        f"{URL}/version does not tell a version; is this a Kubernetes API server?",
    ),
    "may not ask": (
        {"status": 200, "version": {"major": "1", "minor": "33"}, "review_status": 403, "review_message": "forbidden"},
        f'{URL} does not let "qinling" ask what it may do (403 forbidden); its '
        "ClusterRole system:basic-user has to be bound "
        "to system:authenticated",
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


@pytest.mark.parametrize("name", SEEN)
def test_each_thing_seen_has_its_message(name: str) -> None:
    seen, message = SEEN[name]
    assert cluster.findings(URL, CA, "qinling", MANIFEST, {"hostname": "engine1", **seen}) == [message]


@pytest.mark.parametrize("minor", ["16", "20+", "35"])
def test_a_sound_cluster_has_none(minor: str) -> None:
    seen = {"status": 200, "version": {"major": "1", "minor": minor}, "denied": []}
    assert cluster.findings(URL, CA, "qinling", MANIFEST, seen) == []


def test_several_things_are_told_together() -> None:
    seen = {**SEEN["name not in the certificate"][0], **SEEN["401"][0]}
    assert len(cluster.findings(URL, CA, "qinling", MANIFEST, seen)) == 2


@pytest.mark.parametrize(
    ("address", "start"),
    [
        ("", "is not set, and qinling_kubernetes_certificates is on"),
        ("http://10.0.0.1:8001", 'has to start with https:// ("http://10.0.0.1:8001" does not)'),
        ("10.0.0.1:6443", 'has to start with https:// ("10.0.0.1:6443" does not)'),
        ("https://", 'names no host or port ("https://")'),
        ("https://:6443", 'names no host or port ("https://:6443")'),
        ("https://a:x", 'is not an address ("https://a:x": Port could not be cast'),
        ("https://a:99999", 'is not an address ("https://a:99999": Port out of range'),
        ("https://[::1", 'is not an address ("https://[::1": Invalid IPv6 URL'),
        ("https://me:secret@a", "has more than host, port and path in it"),
        ("https://a/?x=1", "has more than host, port and path in it"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, start: str) -> None:
    problem = cluster.address_problem(address)
    assert problem.startswith(start)
    assert "https://192.0.2.10:6443" in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "address", [URL, "https://10.0.0.1", "https://[2001:db8::1]:6443", "https://a/k8s/clusters/c-1"]
)
def test_an_address_that_is_one_passes(address: str) -> None:
    assert cluster.address_problem(address) == ""

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Gets a client certificate from a Kubernetes cluster through its API of certificate signing requests.

The private key is made here and never given to the cluster.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.certificates import File
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SIGNER = "kubernetes.io/kube-apiserver-client"
_GROUP = "/apis/certificates.k8s.io"
_CLIENT_CA = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


class CredentialsError(Exception):
    """The cluster does not give a certificate: why, and what to do."""


class RefusedError(CredentialsError):
    """The cluster refused a request; carries the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


# Takes a method, a path and a body, returns the answer's content; raises CredentialsError.
Ask = Callable[[str, str, Mapping[str, Any] | None], Any]


@dataclass(frozen=True)
class Credentials:
    """What a deployment needs, each as PEM."""

    ca: bytes
    certificate: bytes
    key: bytes


def reason_to_make(
    files: Mapping[str, File], authorities: bytes, user: str, now: datetime, renew: bool, renew_days: int
) -> str:
    """Takes the files, the cluster's CAs and the wanted user; returns why a new certificate is due, or nothing."""
    missing = [file.path for file in files.values() if file.content is None]
    if renew:
        return "renewal was asked for"
    if len(missing) == len(files):
        return "there is none yet"
    if missing:
        return f"{', '.join(missing)} is missing"
    # The CA file may lag behind the cluster, which alone is no reason for another certificate.
    verdict = certificates.examine({**files, "ca": File(files["ca"].path, authorities)}, now, 0)
    if verdict.findings:
        return str(verdict.findings[0])
    if verdict.user != user:
        return f'it is for user "{verdict.user}", not "{user}"'
    leaf = certificates.load_all((files["certificate"].content or b"").decode("ascii", "ignore"))[0]
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    # Where the cluster gives short ones, a new one at every run would be no better than the last.
    if leaf.not_valid_after_utc - now < min(timedelta(days=renew_days), lifetime / 3):
        return f"it expires on {certificates.day(leaf.not_valid_after_utc)}"
    return ""


def belongs_to(content: bytes | None, user: str) -> bool:
    """Takes a file's content and a user, returns whether it is a certificate of this user."""
    try:
        return certificates.common_name(certificates.load_all((content or b"").decode("ascii"))[0]) == user
    except (ValueError, IndexError):
        return False


def bundle(server: bytes, clients: bytes, certificate: bytes) -> bytes:
    """Takes the CAs of servers and of clients, and a client certificate; returns what the CA file has to hold.

    That is the server's CA, and the CA of the certificate too where a cluster has two.
    """
    chain = certificates.load_all(certificate.decode("ascii"))
    trusted = certificates.load_all(server.decode("ascii"))
    if certificates.path_to(chain[0], chain[1:], trusted):
        return server
    for authority in certificates.load_all(clients.decode("ascii")):
        if certificates.path_to(chain[0], chain[1:], [authority]):
            return server.rstrip(b"\n") + b"\n" + authority.public_bytes(serialization.Encoding.PEM)
    return server


def client_authorities(ask: Ask) -> bytes:
    """Takes a way to ask the cluster, returns the CAs of its clients; nothing if it does not tell."""
    try:
        answer = ask("GET", _CLIENT_CA, None)
    except RefusedError:
        return b""
    return str((answer.get("data") or {}).get("client-ca-file") or "").encode("ascii", "ignore")


def make(
    ask: Ask, user: str, days: int, wait: float, sleep: Callable[[float], None] = time.sleep
) -> tuple[bytes, bytes]:
    """Takes a way to ask the cluster, the user's name, the days it shall last (0: as long as the cluster gives), the
    seconds to wait for the signature; returns certificate and key. Leaves no request behind.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    version = _version(ask)
    path = f"{_GROUP}/{version}/certificatesigningrequests"
    name = f"qinling-{secrets.token_hex(8)}"
    body: dict[str, Any] = {
        "apiVersion": f"certificates.k8s.io/{version}",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "qinling.kolla"}},
        "spec": {
            "request": base64.b64encode(request).decode("ascii"),
            "signerName": SIGNER,
            "usages": ["digital signature", "client auth"],
        },
    }
    if days:
        body["spec"]["expirationSeconds"] = days * 86400
    created = ask("POST", path, body)
    try:
        ask("PUT", f"{path}/{name}/approval", _approved(created))
        certificate = _signed(ask, f"{path}/{name}", wait, sleep)
    finally:
        ask("DELETE", f"{path}/{name}", None)
    return certificate, key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _version(ask: Ask) -> str:
    try:
        answer = ask("GET", _GROUP, None)
    except RefusedError as error:
        if error.status != 404:
            raise
        answer = {}
    served = [version.get("version") for version in answer.get("versions") or []]
    for version in ("v1", "v1beta1"):
        if version in served:
            return version
    raise CredentialsError(
        "the cluster does not offer certificates.k8s.io, so it signs no "
        "certificates; have its CA sign one by other means "
        "and put the three files there by hand"
    )


def _approved(request: Mapping[str, Any]) -> dict[str, Any]:
    condition = {
        "type": "Approved",
        "status": "True",
        "reason": "QinlingCredentials",
        "message": "Approved by the playbook qinling.kolla.kubernetes_credentials",
    }
    status = dict(request.get("status") or {})
    return {**request, "status": {**status, "conditions": [*(status.get("conditions") or []), condition]}}


def _signed(ask: Ask, path: str, wait: float, sleep: Callable[[float], None]) -> bytes:
    step = 0.25
    for _attempt in range(max(1, int(wait / step))):
        status = ask("GET", path, None).get("status") or {}
        if status.get("certificate"):
            return base64.b64decode(status["certificate"])
        for condition in status.get("conditions") or []:
            if condition.get("type") in {"Denied", "Failed"}:
                raise CredentialsError(
                    f"the cluster's signer says {condition['type']}: {condition.get('message') or 'no reason given'}"
                )
        sleep(step)
    raise CredentialsError(
        f"the request was approved, but not signed within {wait:.0f} s: the cluster "
        f"has no signer for {SIGNER} (its controller "
        "manager has no CA key, or the provider does not offer it); have the CA sign a certificate by other means"
    )

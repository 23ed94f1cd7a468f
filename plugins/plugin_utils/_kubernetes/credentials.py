# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Request a client certificate from a Kubernetes cluster with a CertificateSigningRequest.

The private key is generated on the controller and never sent to the cluster.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.certificates import File

# `certificates` reports a missing library.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

SIGNER = "kubernetes.io/kube-apiserver-client"
_GROUP = "/apis/certificates.k8s.io"
_CLIENT_CA = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


class CredentialsError(Exception):
    """The cluster does not issue a certificate; the message has the reason and the remedy."""


class RefusedError(CredentialsError):
    """The cluster refused a request with an HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


# Send a request (method, path, body) and return the response's content; raise CredentialsError on failure.
Request = Callable[[str, str, Mapping[str, Any] | None], Any]


@dataclass(frozen=True)
class Credentials:
    """The files that a deployment needs, in PEM format."""

    ca: bytes
    certificate: bytes
    key: bytes


def renewal_reason(
    files: Mapping[str, File], authorities: bytes, user: str, now: datetime, renew: bool, renew_days: int
) -> str:
    """Return why a new certificate is needed, or an empty string.

    `authorities` are the cluster's CAs, `user` the desired user.
    """
    missing = [file.path for file in files.values() if file.content is None]
    if renew:
        return "renewal was requested"
    if len(missing) == len(files):
        return "no certificate exists yet"
    if missing:
        return f"{', '.join(missing)} is missing"
    # An outdated CA file alone is not a reason for a new certificate.
    verdict = certificates.examine({**files, "ca": File(files["ca"].path, authorities)}, now, 0)
    if verdict.findings:
        return str(verdict.findings[0])
    if verdict.user != user:
        return f'it belongs to user "{verdict.user}", not "{user}"'
    leaf = certificates.load_all((files["certificate"].content or b"").decode("ascii", "ignore"))[0]
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    # For short lifetimes, renew in the last third instead of on every run.
    if leaf.not_valid_after_utc - now < min(timedelta(days=renew_days), lifetime / 3):
        return f"it expires on {certificates.day(leaf.not_valid_after_utc)}"
    return ""


def belongs_to(content: bytes | None, user: str) -> bool:
    """Return whether a file's content is a certificate of a user."""
    try:
        return certificates.common_name(certificates.load_all((content or b"").decode("ascii"))[0]) == user
    except (ValueError, IndexError):
        return False


def bundle(server: bytes, clients: bytes, certificate: bytes) -> bytes:
    """Return the content of the CA file: the server's CA, and the client certificate's CA if it is a different one.

    `server` and `clients` are the cluster's CAs for servers and for clients.
    """
    chain = certificates.load_all(certificate.decode("ascii"))
    trusted = certificates.load_all(server.decode("ascii"))
    if certificates.path_to(chain[0], chain[1:], trusted):
        return server
    for authority in certificates.load_all(clients.decode("ascii")):
        if certificates.path_to(chain[0], chain[1:], [authority]):
            return server.rstrip(b"\n") + b"\n" + authority.public_bytes(serialization.Encoding.PEM)
    return server


def client_authorities(request: Request) -> bytes:
    """Return the cluster's CAs for clients, empty if it does not publish them."""
    try:
        response = request("GET", _CLIENT_CA, None)
    except RefusedError:
        return b""
    return str((response.get("data") or {}).get("client-ca-file") or "").encode("ascii", "ignore")


def request_certificate(
    request: Request, user: str, days: int, wait: float, sleep: Callable[[float], None] = time.sleep
) -> tuple[bytes, bytes]:
    """Request a certificate for a user, and return the certificate and its key; the signing request is deleted.

    `days` is its lifetime (0: the cluster's default), `wait` the time to wait for the signature in seconds.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    signing_request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    version = _version(request)
    path = f"{_GROUP}/{version}/certificatesigningrequests"
    name = f"qinling-{secrets.token_hex(8)}"
    body: dict[str, Any] = {
        "apiVersion": f"certificates.k8s.io/{version}",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "qinling.kolla"}},
        "spec": {
            "request": base64.b64encode(signing_request).decode("ascii"),
            "signerName": SIGNER,
            "usages": ["digital signature", "client auth"],
        },
    }
    if days:
        body["spec"]["expirationSeconds"] = days * 86400
    created = request("POST", path, body)
    try:
        request("PUT", f"{path}/{name}/approval", _approved(created))
        certificate = _signed(request, f"{path}/{name}", wait, sleep)
    finally:
        request("DELETE", f"{path}/{name}", None)
    return certificate, key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _version(request: Request) -> str:
    try:
        response = request("GET", _GROUP, None)
    except RefusedError as error:
        if error.status != 404:
            raise
        response = {}
    served = [version.get("version") for version in response.get("versions") or []]
    for version in ("v1", "v1beta1"):
        if version in served:
            return version
    raise CredentialsError(
        "the cluster does not offer certificates.k8s.io, so it does not sign certificates; "
        "let its CA sign one by other means and copy the three files manually"
    )


def _approved(signing_request: Mapping[str, Any]) -> dict[str, Any]:
    condition = {
        "type": "Approved",
        "status": "True",
        "reason": "QinlingCredentials",
        "message": "Approved by the playbook qinling.kolla.kubernetes_credentials",
    }
    status = dict(signing_request.get("status") or {})
    return {**signing_request, "status": {**status, "conditions": [*(status.get("conditions") or []), condition]}}


def _signed(request: Request, path: str, wait: float, sleep: Callable[[float], None]) -> bytes:
    step = 0.25
    for _attempt in range(max(1, int(wait / step))):
        status = request("GET", path, None).get("status") or {}
        if status.get("certificate"):
            return base64.b64decode(status["certificate"])
        for condition in status.get("conditions") or []:
            if condition.get("type") in {"Denied", "Failed"}:
                raise CredentialsError(
                    f"the cluster's signer reports {condition['type']}: {condition.get('message') or 'no reason given'}"
                )
        sleep(step)
    raise CredentialsError(
        f"the request was approved, but not signed within {wait:.0f} s: the cluster has no signer for {SIGNER} "
        "(its controller manager has no CA key, or the provider does not offer it); "
        "let the CA sign a certificate by other means"
    )

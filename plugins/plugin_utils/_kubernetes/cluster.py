# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Interpret the results of `kubernetes_check` on a host: problems of the connection to the API server, and remedies."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates, rbac

# `certificates` reports a missing library.
with contextlib.suppress(ImportError):
    from cryptography import x509

# Qinling's driver needs apps/v1, the only version since 1.16 (kubernetes.io, "Deprecated API Migration Guide").
MINIMUM_VERSION = (1, 16)
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h.
_OUT_OF_TIME = frozenset({9, 10})


def address_problem(kube_host: str) -> str:
    """Return the problem of the API server's address, or an empty string."""
    example = "expected https://<name or address>:<port>, such as https://192.0.2.10:6443"
    if not kube_host:
        return f"is not set, but qinling_kubernetes_certificates is enabled; {example}"
    try:
        url = urlsplit(kube_host)
        port = url.port
    except ValueError as error:
        return f'is not an address ("{kube_host}": {error}); {example}'
    if url.scheme != "https":
        return f'does not start with https:// ("{kube_host}"), but certificates need TLS; {example}'
    if not url.hostname or port == 0:
        return f'has no host or an invalid port ("{kube_host}"); {example}'
    if url.username or url.query or url.fragment:
        return f"contains more than host, port and path; {example}"
    return ""


def findings(kube_host: str, ca: str, user: str, manifest: rbac.Manifest, seen: Mapping[str, Any]) -> list[str]:
    """Return the problems in the result `seen` of the module; `ca` is the text of the CA file, `user` the user name."""
    host = seen.get("hostname", "the host")
    found = []
    server = _server_certificate(seen)
    if seen.get("untrusted"):
        found.append(f"{kube_host} {_untrusted(ca, server, seen['untrusted'])}")
    if seen.get("name_mismatch"):
        names = ", ".join(certificates.names_in(server)) if server else ""
        found.append(
            f'{kube_host} presents a certificate that is not valid for "{urlsplit(kube_host).hostname}", but for: '
            f"{names or 'no name'}; set qinling_kube_host to one of these names, "
            "or renew the API server's certificate with this name"
        )
    if seen.get("trouble"):
        found.append(_trouble(kube_host, str(host), seen["trouble"]))
    if seen.get("status") == 401:
        found.append(
            f"{kube_host} does not accept the certificate (401 {seen.get('message') or 'Unauthorized'}): the API "
            "server does not trust its CA for clients (--client-ca-file), or it is not valid by the server's clock; "
            "request a certificate from this cluster (playbook qinling.kolla.kubernetes_credentials)"
        )
    elif seen.get("status") not in {None, 200, 403}:
        found.append(
            f"{kube_host}/version responds with {seen['status']} {seen.get('message') or ''}".rstrip()
            + ", unlike a Kubernetes API server; check the address and the state of the server"
        )
    found += _version(kube_host, seen.get("version"))
    found += _permissions(kube_host, user, manifest, seen)
    return found


def _server_certificate(seen: Mapping[str, Any]) -> x509.Certificate | None:
    content = base64.b64decode(seen.get("server_certificate") or "")
    return x509.load_der_x509_certificate(content) if content else None


def _untrusted(ca: str, server: x509.Certificate | None, why: Mapping[str, Any]) -> str:
    text = why.get("text") or "no reason given"
    trusted = certificates.load_all(ca)
    subjects = "; ".join(f'"{certificates.subject(authority)}"' for authority in trusted)
    if server is None:
        return f"presents a certificate that cannot be verified ({text})"
    if why.get("code") in _OUT_OF_TIME:
        return (
            f"presents a certificate that is valid from {certificates.day(server.not_valid_before_utc)} "
            f"to {certificates.day(server.not_valid_after_utc)} only ({text}); "
            "renew it there, or correct the host's clock"
        )
    same_name = any(authority.subject == server.issuer for authority in trusted)
    hint = " (same name, but another key: the CA was renewed, or belongs to another cluster)" if same_name else ""
    return (
        f'presents a certificate signed by "{certificates.issuer(server)}", but the CA file contains {subjects}{hint}; '
        f"expected the CA of this cluster ({text})"
    )


def _trouble(kube_host: str, host: str, trouble: Mapping[str, str]) -> str:
    url = urlsplit(kube_host)
    place, text = f"{url.hostname} port {url.port or 443}", trouble.get("text", "")
    return {
        "unresolved": (
            f"{url.hostname} in qinling_kube_host cannot be resolved on {host} ({text}); check the name, "
            "or the host's DNS and /etc/hosts"
        ),
        "refused": (
            f"{place} refuses the connection from {host} (at {text}): no process listens; check the port, "
            "and that the API server is running"
        ),
        "timeout": (
            f"{place} does not respond to {host} in time ({text}); check firewalls, the address and the server"
        ),
        "unreachable": f"{place} cannot be reached from {host} ({text}); check the address and routes",
        "no-tls": f"{place} does not speak TLS ({text}); is this the API server's secure port?",
        "rejected": (
            f"{kube_host} closed the connection after the certificate was sent ({text}): it does not trust its CA; "
            "request a certificate from this cluster (playbook qinling.kolla.kubernetes_credentials)"
        ),
        "broken": f"{kube_host} closed the connection early ({text}); check the API server and proxies in front of it",
        "unusable": (
            f"the certificate or key cannot be used on {host} ({text}); request a new one "
            "(playbook qinling.kolla.kubernetes_credentials)"
        ),
    }[trouble["kind"]]


def version_of(version: Mapping[str, str] | None) -> tuple[int, int] | None:
    """Return the major and minor version from the response of /version, or None if it has none."""
    numbers = [re.match(r"\d+", (version or {}).get(key, "")) for key in ("major", "minor")]
    return (int(numbers[0][0]), int(numbers[1][0])) if numbers[0] and numbers[1] else None


def _version(kube_host: str, version: Mapping[str, str] | None) -> list[str]:
    if version is None:
        return []
    numbers = version_of(version)
    if numbers is None:
        return [f"{kube_host}/version does not contain a version; is this a Kubernetes API server?"]
    if numbers < MINIMUM_VERSION:
        name = version.get("gitVersion") or ".".join(map(str, numbers))
        minimum = ".".join(map(str, MINIMUM_VERSION))
        return [f"{kube_host} is Kubernetes {name}; expected at least {minimum}; upgrade it"]
    return []


def _permissions(kube_host: str, user: str, manifest: rbac.Manifest, seen: Mapping[str, Any]) -> list[str]:
    if seen.get("review_status"):
        return [
            f'{kube_host} does not let "{user}" query its own permissions ({seen["review_status"]} '
            f"{seen.get('review_message', '')}); "
            "bind the ClusterRole system:basic-user to system:authenticated"
        ]
    denied = seen.get("denied") or []
    if not denied:
        return []
    missing = "\n".join(f"      {rbac.describe(attributes)}" for attributes in denied)
    granting = "\n".join(f"      {line}" for line in manifest.render(user).splitlines())
    return [
        f'the certificate\'s user "{user}" lacks {len(denied)} of {len(manifest.access())} permissions:\n{missing}\n'
        "    Grant them as an administrator: run the playbook qinling.kolla.kubernetes_credentials, "
        f"or kubectl apply -f - with\n{granting}"
    ]

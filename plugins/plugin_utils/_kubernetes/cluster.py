# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Tells what `kubernetes_check` saw on a host means: what is wrong on the way to the API server, and what to do."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates, rbac
from cryptography import x509

# apps/v1 alone since 1.16 (kubernetes.io, "Deprecated API Migration Guide"); Qinling's driver asks for nothing newer.
MINIMUM_VERSION = (1, 16)
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h.
_OUT_OF_TIME = frozenset({9, 10})


def address_problem(kube_host: str) -> str:
    """Takes the API server's address, returns what is wrong with it as such, or nothing."""
    example = "write it as https://<name or address>:<port>, such as https://192.0.2.10:6443"
    if not kube_host:
        return f"is not set, and qinling_kubernetes_certificates is on; {example}"
    try:
        url = urlsplit(kube_host)
        port = url.port
    except ValueError as error:
        return f'is not an address ("{kube_host}": {error}); {example}'
    if url.scheme != "https":
        return f'has to start with https:// ("{kube_host}" does not): certificates only work over TLS; {example}'
    if not url.hostname or port == 0:
        return f'names no host or port ("{kube_host}"); {example}'
    if url.username or url.query or url.fragment:
        return f"has more than host, port and path in it; {example}"
    return ""


def findings(kube_host: str, ca: str, user: str, manifest: rbac.Manifest, seen: Mapping[str, Any]) -> list[str]:
    """Takes the address, the CA's text, the user's name, what is needed, and what was seen; returns what is wrong."""
    host = seen.get("hostname", "the host")
    found = []
    server = _server_certificate(seen)
    if seen.get("untrusted"):
        found.append(f"{kube_host} {_untrusted(ca, server, seen['untrusted'])}")
    if seen.get("name_mismatch"):
        names = ", ".join(certificates.names_in(server)) if server else ""
        found.append(
            f'{kube_host} presents a certificate that is not for "{urlsplit(kube_host).hostname}"; it is for: '
            f"{names or 'no name at all'}; use one of these in qinling_kube_host, "
            "or have the API server's certificate made anew with this name"
        )
    if seen.get("trouble"):
        found.append(_trouble(kube_host, str(host), seen["trouble"]))
    if seen.get("status") == 401:
        found.append(
            f"{kube_host} does not accept the certificate (401 "
            f"{seen.get('message') or 'Unauthorized'}): its CA is not the one "
            "that this API server trusts for clients (--client-ca-file), or the "
            "certificate is not valid by the server's clock; "
            "have this cluster sign it (playbook qinling.kolla.kubernetes_credentials does)"
        )
    elif seen.get("status") not in {None, 200, 403}:
        found.append(
            f"{kube_host}/version answers {seen['status']} {seen.get('message') or ''}".rstrip()
            + ", not as a Kubernetes API server does; is this its address, and is the server well?"
        )
    found += _version(kube_host, seen.get("version"))
    found += _permissions(kube_host, user, manifest, seen)
    return found


def _server_certificate(seen: Mapping[str, Any]) -> x509.Certificate | None:
    content = base64.b64decode(seen.get("server_certificate") or "")
    return x509.load_der_x509_certificate(content) if content else None


def _untrusted(ca: str, server: x509.Certificate | None, why: Mapping[str, Any]) -> str:
    text = why.get("text") or "no reason given"
    held = "; ".join(f'"{certificates.subject(one)}"' for one in certificates.load_all(ca))
    if server is None:
        return f"presents a certificate that can not be verified ({text})"
    if why.get("code") in _OUT_OF_TIME:
        return (
            f"presents a certificate that is valid from {certificates.day(server.not_valid_before_utc)} "
            f"to {certificates.day(server.not_valid_after_utc)} only ({text}); "
            "renew it there, or set the host's clock right"
        )
    same_name = any(one.subject == server.issuer for one in certificates.load_all(ca))
    hint = " (the same name, but another key: the CA was made anew, or is of another cluster)" if same_name else ""
    return (
        f'presents a certificate signed by "{certificates.issuer(server)}", and the CA file holds {held}{hint}; '
        f"put the CA of this cluster there ({text})"
    )


def _trouble(kube_host: str, host: str, trouble: Mapping[str, str]) -> str:
    url = urlsplit(kube_host)
    place, text = f"{url.hostname} port {url.port or 443}", trouble.get("text", "")
    return {
        "unresolved": (
            f"{url.hostname} in qinling_kube_host can not be resolved on {host} ({text}); check the name, "
            "or the host's DNS and /etc/hosts"
        ),
        "refused": (
            f"{place} refuses the connection from {host} (at {text}): nothing listens there; check the port, "
            "and that the API server runs"
        ),
        "timeout": (
            f"{place} does not answer {host} in time ({text}): a firewall, a wrong address or a host that is down"
        ),
        "unreachable": f"{place} can not be reached from {host} ({text}); check address and routes",
        "no-tls": f"{place} does not speak TLS ({text}); is this the API server's secure port?",
        "rejected": (
            f"{kube_host} ended the connection when it saw the certificate ({text}): it does not trust the CA that "
            "signed it; have this cluster sign it (playbook qinling.kolla.kubernetes_credentials does)"
        ),
        "broken": f"{kube_host} ended the connection midway ({text}); check the API server and what is before it",
        "unusable": (
            f"the certificate or key can not be used on {host} ({text}); have it signed anew "
            "(playbook qinling.kolla.kubernetes_credentials does)"
        ),
    }[trouble["kind"]]


def version_of(version: Mapping[str, str] | None) -> tuple[int, int] | None:
    """Takes what /version says, returns major and minor, or none if it says no such thing."""
    numbers = [re.match(r"\d+", (version or {}).get(key, "")) for key in ("major", "minor")]
    return (int(numbers[0][0]), int(numbers[1][0])) if numbers[0] and numbers[1] else None


def _version(kube_host: str, version: Mapping[str, str] | None) -> list[str]:
    if version is None:
        return []
    known = version_of(version)
    if known is None:
        return [f"{kube_host}/version does not tell a version; is this a Kubernetes API server?"]
    if known < MINIMUM_VERSION:
        name = version.get("gitVersion") or ".".join(map(str, known))
        return [
            (f"{kube_host} is Kubernetes {name}; at least {'.'.join(map(str, MINIMUM_VERSION))} is needed: upgrade it")
        ]
    return []


def _permissions(kube_host: str, user: str, manifest: rbac.Manifest, seen: Mapping[str, Any]) -> list[str]:
    if seen.get("review_status"):
        return [
            f'{kube_host} does not let "{user}" ask what it may do ({seen["review_status"]} '
            f"{seen.get('review_message', '')}); "
            "its ClusterRole system:basic-user has to be bound to system:authenticated"
        ]
    denied = seen.get("denied") or []
    if not denied:
        return []
    missing = "\n".join(f"      {rbac.sentence(attributes)}" for attributes in denied)
    granting = "\n".join(f"      {line}" for line in manifest.render(user).splitlines())
    return [
        f'the certificate\'s user "{user}" lacks {len(denied)} of {len(manifest.access())} permissions:\n{missing}\n'
        "    Grant them as an administrator: run the playbook qinling.kolla.kubernetes_credentials, "
        f"or kubectl apply -f - with\n{granting}"
    ]

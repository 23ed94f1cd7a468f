#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_probe
short_description: Observe the access of a host to a Kubernetes cluster
version_added: 0.1.0
description:
  - Connects to the API server, verifies its certificate, requests its version and checks permissions, up to the first
    failure.
  - Used by the action plugin M(qinling.kolla.kubernetes_check); do not use it in a task.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  kube_host:
    description: URL of the API server, C(https://name:port).
    type: str
    required: true
  ca:
    description: CA certificates in PEM format. Without them, only the connection is checked.
    type: str
    default: ""
  certificate:
    description: Client certificate in PEM format. Without it, only the server is verified.
    type: str
    default: ""
  key:
    description: Private key of O(certificate) in PEM format.
    type: str
    default: ""
  access:
    description: Permissions to check, each with the attributes of a resource in a SelfSubjectAccessReview.
    type: list
    elements: dict
    default: []
  timeout:
    description: Timeout of each network operation in seconds.
    type: float
    default: 10
seealso:
  - module: qinling.kolla.kubernetes_check
"""

EXAMPLES = r"""
- name: Kubernetes | Observe the access to the API server
  qinling.kolla.kubernetes_probe:
    kube_host: https://192.0.2.10:6443
    ca: "{{ lookup('ansible.builtin.file', '/root/magnum/ca.pem') }}"
"""

RETURN = r"""
seen:
  description:
    - The observations of all steps up to the first failure.
    - The C(hostname) of the host, C(status), C(message) and C(version) of the server, missing permissions (C(denied)),
      problems of its certificate (C(server_certificate), C(name_mismatch), C(untrusted)), and the first failure
      (C(trouble)) with its C(kind) and C(text).
  returned: success
  type: dict
"""

import base64
import http.client
import json
import os
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL's x509_vfy.h.
_NAME_MISMATCH = frozenset({62, 64})
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class ProbeError(Exception):
    """The failure of a step on the way to the server: its kind, and the system's message."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Return a TCP connection. Raise ProbeError if the name cannot be resolved or no address can be reached."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise ProbeError("unresolved", getattr(error, "strerror", None) or str(error)) from error
    failure = ProbeError("unreachable", "no address")
    for family, kind, protocol, _name, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                failure = ProbeError("refused", str(address[0]))
            elif isinstance(error, TimeoutError):
                failure = ProbeError("timeout", str(address[0]))
            else:
                failure = ProbeError("unreachable", f"{address[0]}: {error.strerror or error}")
        else:
            return connection
    raise failure


def connect_tls(context: ssl.SSLContext, host: str, port: int, timeout: float) -> ssl.SSLSocket:
    """Return a TLS connection. Raise ProbeError, or SSLCertVerificationError if the certificate is not valid."""
    raw_socket = connect(host, port, timeout)
    try:
        return context.wrap_socket(raw_socket, server_hostname=host)
    except ssl.SSLCertVerificationError:
        raw_socket.close()
        raise
    except (ssl.SSLError, ConnectionError, EOFError) as error:
        raw_socket.close()
        raise ProbeError("no-tls", getattr(error, "reason", None) or str(error)) from error
    except TimeoutError as error:
        raw_socket.close()
        raise ProbeError("timeout", "during the TLS handshake") from error


def server_certificate(host: str, port: int, timeout: float) -> str:
    """Return the certificate that the server presents, without verification, as base64 of DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect_tls(context, host, port, timeout) as connection:
        return base64.b64encode(connection.getpeercert(binary_form=True) or b"").decode("ascii")


def authenticate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a client certificate into a TLS context; the key stays in memory, although OpenSSL requires a path."""
    handle = os.memfd_create("kubernetes-check", os.MFD_CLOEXEC)
    try:
        os.fchmod(handle, 0o600)
        with os.fdopen(os.dup(handle), "w") as memory:
            memory.write(f"{certificate.rstrip()}\n{key.rstrip()}\n")
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def verify_server(seen: dict[str, Any], host: str, port: int, ca: str, timeout: float) -> ssl.SSLContext | None:
    """Return a context that trusts the server, or None if verification fails; add the problems to `seen`.

    As in the engine, the strict rules of RFC 5280 do not apply: CAs of Magnum and of older tools have no key
    identifiers. After a name mismatch, the verification is repeated without the name, to find further problems.
    """
    context = ssl.create_default_context(cadata=ca)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    while True:
        try:
            connect_tls(context, host, port, timeout).close()
        except ssl.SSLCertVerificationError as error:
            if context.check_hostname and error.verify_code in _NAME_MISMATCH:
                seen["name_mismatch"] = True
                context.check_hostname = False
            else:
                seen["untrusted"] = {"code": error.verify_code, "text": error.verify_message}
                return None
        else:
            return context


class Api:
    """The API server, over a persistent connection that is reopened if the server closes it."""

    def __init__(self, context: ssl.SSLContext, host: str, port: int, prefix: str, timeout: float) -> None:
        self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        self._prefix = prefix

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the data of a response. Raise ProbeError if the server does not respond."""
        headers = {"Accept": "application/json", "User-Agent": "qinling.kolla"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(
                method, self._prefix + path, json.dumps(body) if body is not None else None, headers
            )
            response = self._connection.getresponse()
            content = response.read()
        except ssl.SSLError as error:
            # With TLS 1.3, a server rejects the client's certificate after the handshake.
            raise ProbeError("rejected", error.reason or str(error)) from error
        except TimeoutError as error:
            raise ProbeError("timeout", f"no answer to {method} {path}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ProbeError("broken", str(error) or error.__class__.__name__) from error
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = {}
        return response.status, parsed if isinstance(parsed, dict) else {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def permissions(api: Api, required: list[dict[str, str]]) -> dict[str, Any]:
    """Return the required permissions that are `denied`, or the status and message of a failed review request."""
    denied = []
    for attributes in required:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        status, data = api.request("POST", _REVIEWS, review)
        if status != 201:
            return {"review_status": status, "review_message": str(data.get("message", ""))}
        if not data.get("status", {}).get("allowed"):
            denied.append(attributes)
    return {"denied": denied}


def observe(params: dict[str, Any]) -> dict[str, Any]:
    """Return the observations of all steps up to the first failure; the action plugin converts them to findings."""
    url = urlsplit(params["kube_host"])
    host, port, timeout = url.hostname or "", url.port or 443, params["timeout"]
    seen: dict[str, Any] = {"hostname": socket.gethostname()}
    try:
        if not params["ca"]:
            connect(host, port, timeout).close()
            return seen
        context = verify_server(seen, host, port, params["ca"], timeout)
        if context is None or seen.get("name_mismatch"):
            seen["server_certificate"] = server_certificate(host, port, timeout)
        if context is None or not params["certificate"]:
            return seen
        authenticate(context, params["certificate"], params["key"])
        api = Api(context, host, port, url.path.rstrip("/"), timeout)
        try:
            status, data = api.request("GET", "/version")
            seen["status"], seen["message"] = status, str(data.get("message", ""))
            if status == 200:
                seen["version"] = {key: str(data.get(key, "")) for key in ("major", "minor", "gitVersion")}
            if status in {200, 403}:
                seen.update(permissions(api, params["access"]))
        finally:
            api.close()
    except ProbeError as error:
        seen["trouble"] = {"kind": error.kind, "text": error.text}
    except (ssl.SSLError, ValueError) as error:
        seen["trouble"] = {"kind": "unusable", "text": getattr(error, "reason", None) or str(error)}
    return seen


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kube_host": {"type": "str", "required": True},
            "ca": {"type": "str", "default": ""},
            "certificate": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": True},
            "access": {"type": "list", "elements": "dict", "default": []},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, seen=observe(module.params))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_check
short_description: Tell what is in the way between a host and a Kubernetes cluster
version_added: 0.1.0
description:
  - On the controller, examines a CA, a client certificate and a private key (decrypted in memory if they are encrypted
    with ansible-vault).
  - On the host, resolves and connects to the API server's address, verifies its certificate, asks for its version, and
    asks for each permission of a manifest whether the certificate's user has it (SelfSubjectAccessReview).
  - Says everything that is wrong at once. Changes nothing on either side. The host needs only Python's own library.
author:
  - the qinling.kolla authors
options:
  kube_host:
    description: The API server's address, C(https://name:port).
    type: str
  overrides:
    description:
      - INI files of the operator that may not be there. C(kube_host) and C(namespace) of their section C([kubernetes])
        win over O(kube_host) and O(namespace), as they do in qinling.conf.
    type: list
    elements: path
    default: []
  files:
    description:
      - The files on the controller, C(kubernetes_ca.crt), C(kubernetes.crt) and C(kubernetes.key), each with the paths
        of which the first that is there is taken.
    type: dict
    required: true
  warn_days:
    description: Days before the end of a certificate from which on there is a warning.
    type: int
    default: 30
  namespace:
    description: Namespace in which Qinling works.
    type: str
    default: qinling
  manifest:
    description: Manifest on the controller with the roles that Qinling needs and their bindings.
    type: path
    required: true
  timeout:
    description: Seconds that each step on the network may take.
    type: float
    default: 10
  fail:
    description: Whether to fail if anything is wrong. If not, RV(findings) is for the caller to report.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Precheck | Look at the way to Kubernetes
  qinling.kolla.kubernetes_check:
    kube_host: https://192.0.2.10:6443
    files:
      kubernetes_ca.crt: [/root/magnum/ca.pem, /etc/kolla/config/qinling/qinling-engine/kubernetes_ca.crt]
      kubernetes.crt: [/root/magnum/cert.pem, /etc/kolla/config/qinling/qinling-engine/kubernetes.crt]
      kubernetes.key: [/root/magnum/key.pem, /etc/kolla/config/qinling/qinling-engine/kubernetes.key]
    manifest: "{{ role_path }}/files/kubernetes-rbac.yml"
"""

RETURN = r"""
findings:
  description: What is wrong, one text each.
  returned: always
  type: list
  elements: str
user:
  description: The certificate's user name in Kubernetes, empty if there is no sound certificate.
  returned: always
  type: str
expires:
  description: When the certificate ends.
  returned: when there is a readable certificate
  type: str
  sample: "2027-11-22 17:41 UTC"
server_version:
  description: The server's version, empty if it was not reached.
  returned: always
  type: str
  sample: v1.33.1
kube_host:
  description: The address that was looked at.
  returned: always
  type: str
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


class TroubleError(Exception):
    """What ended the way to the server: a word for it, and the system's text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Takes where to connect to, returns a connection; raises TroubleError with what prevents it."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise TroubleError("unresolved", getattr(error, "strerror", None) or str(error)) from error
    trouble = TroubleError("unreachable", "no address")
    for family, kind, protocol, _name, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                trouble = TroubleError("refused", str(address[0]))
            elif isinstance(error, TimeoutError):
                trouble = TroubleError("timeout", str(address[0]))
            else:
                trouble = TroubleError("unreachable", f"{address[0]}: {error.strerror or error}")
        else:
            return connection
    raise trouble


def secured(context: ssl.SSLContext, host: str, port: int, timeout: float) -> ssl.SSLSocket:
    """Takes a TLS context and an address, returns a TLS connection; raises TroubleError, or what verifying raises."""
    plain = connect(host, port, timeout)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError:
        plain.close()
        raise
    except (ssl.SSLError, ConnectionError, EOFError) as error:
        plain.close()
        raise TroubleError("no-tls", getattr(error, "reason", None) or str(error)) from error
    except TimeoutError as error:
        plain.close()
        raise TroubleError("timeout", "during the TLS handshake") from error


def presented(host: str, port: int, timeout: float) -> str:
    """Takes an address, returns the certificate that the server presents, in base64 of DER, without trusting it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with secured(context, host, port, timeout) as connection:
        return base64.b64encode(connection.getpeercert(binary_form=True) or b"").decode("ascii")


def authenticate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Takes a TLS context, makes it present a certificate; the key is in memory only (OpenSSL insists on a path)."""
    handle = os.memfd_create("kubernetes-check", os.MFD_CLOEXEC)
    try:
        os.fchmod(handle, 0o600)
        with os.fdopen(os.dup(handle), "w") as memory:
            memory.write(f"{certificate.rstrip()}\n{key.rstrip()}\n")
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def verified(seen: dict[str, Any], host: str, port: int, ca: str, timeout: float) -> ssl.SSLContext | None:
    """Takes an address and a CA, returns a context that trusts the server, or none; notes what verification says.

    The form that RFC 5280 asks for is not insisted on, as the engine does not either: CAs that Magnum and older tools
    made lack the key identifiers. A wrong name is noted, and the next attempt does without it, so that more than one
    thing can be told.
    """
    context = ssl.create_default_context(cadata=ca)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    while True:
        try:
            secured(context, host, port, timeout).close()
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
    """The API server over one connection after another, each used until the server closes it."""

    def __init__(self, context: ssl.SSLContext, host: str, port: int, prefix: str, timeout: float) -> None:
        self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        self._prefix = prefix

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Takes a request, returns the answer's status and content; raises TroubleError if there is none."""
        headers = {"Accept": "application/json", "User-Agent": "qinling.kolla"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(
                method, self._prefix + path, json.dumps(body) if body is not None else None, headers
            )
            answer = self._connection.getresponse()
            content = answer.read()
        except ssl.SSLError as error:
            # With TLS 1.3 a server rejects the client's certificate after the handshake.
            raise TroubleError("rejected", error.reason or str(error)) from error
        except TimeoutError as error:
            raise TroubleError("timeout", f"no answer to {method} {path}") from error
        except (OSError, http.client.HTTPException) as error:
            raise TroubleError("broken", str(error) or type(error).__name__) from error
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = {}
        return answer.status, parsed if isinstance(parsed, dict) else {}

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def permissions(api: Api, wanted: list[dict[str, str]]) -> dict[str, Any]:
    """Takes what has to be allowed, returns what is not, or the status that the question itself was answered with."""
    denied = []
    for attributes in wanted:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        status, answer = api.ask("POST", _REVIEWS, review)
        if status != 201:
            return {"review_status": status, "review_message": str(answer.get("message", ""))}
        if not answer.get("status", {}).get("allowed"):
            denied.append(attributes)
    return {"denied": denied}


def observe(params: dict[str, Any]) -> dict[str, Any]:
    """Takes the parameters, returns what was seen on the way to the server, as far as it led."""
    url = urlsplit(params["kube_host"])
    host, port, timeout = url.hostname or "", url.port or 443, params["timeout"]
    seen: dict[str, Any] = {"hostname": socket.gethostname()}
    try:
        if not params["ca"]:
            connect(host, port, timeout).close()
            return seen
        context = verified(seen, host, port, params["ca"], timeout)
        if context is None or seen.get("name_mismatch"):
            seen["server_certificate"] = presented(host, port, timeout)
        if context is None or not params["certificate"]:
            return seen
        authenticate(context, params["certificate"], params["key"])
        api = Api(context, host, port, url.path.rstrip("/"), timeout)
        try:
            status, answer = api.ask("GET", "/version")
            seen["status"], seen["message"] = status, str(answer.get("message", ""))
            if status == 200:
                seen["version"] = {key: str(answer.get(key, "")) for key in ("major", "minor", "gitVersion")}
            if status in {200, 403}:
                seen.update(permissions(api, params["access"]))
        finally:
            api.close()
    except TroubleError as trouble:
        seen["trouble"] = {"kind": trouble.kind, "text": trouble.text}
    except (ssl.SSLError, ValueError) as error:
        seen["trouble"] = {"kind": "unusable", "text": getattr(error, "reason", None) or str(error)}
    return seen


def main() -> None:
    # These come from the action plugin of the same name, in place of the options that are documented.
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

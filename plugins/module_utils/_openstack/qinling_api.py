# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Client of Qinling's REST API, which logs in with Keystone's API v3 and needs only libraries of Ansible.

Source of requests, statuses and fields: ``api/controllers/v1`` of Qinling 5.0.0, and Keystone's API v3.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import ssl
import time
import urllib.error
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

POLL_SECONDS = 1.0
REQUEST_SECONDS = 60.0
_MESSAGE_LIMIT = 500
_TITLE = re.compile(r"<title>([^<]*)", re.IGNORECASE)

ARGUMENTS: dict[str, Any] = {
    "endpoint": {"type": "str", "required": True},
    "auth": {
        "type": "dict",
        "required": True,
        "options": {
            "auth_url": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "project_name": {"type": "str", "required": True},
            "domain_name": {"type": "str", "default": "Default"},
            "user_domain_name": {"type": "str"},
            "project_domain_name": {"type": "str"},
        },
    },
    "ca_cert": {"type": "path"},
    "wait": {"type": "int", "default": 120},
}
ENGINE_ARGUMENT: dict[str, Any] = {"engine": {"type": "str", "default": "qinling_engine"}}
STATE_ARGUMENT: dict[str, Any] = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}


class QinlingError(Exception):
    """A failure with a complete message for the operator, without secrets."""


class UnreachableError(QinlingError):
    """The server does not listen, does not answer in time, or is not ready."""


class HttpError(QinlingError):
    """The server answered with an error status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _NotReadyError(Exception):
    """The server did not accept the request, which can be sent again."""


@dataclass(frozen=True)
class Response:
    """The response of a server: status, headers with lower-case names, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# Sends a request (method, URL, headers, body, timeout); raises OSError if the server does not answer.
Transport = Callable[[str, str, dict[str, str], "bytes | None", float], Response]


def http_transport(ca_cert: str | None) -> Transport:
    """Return a transport that trusts the CA certificates in a file, or those of the system."""

    def send(method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: float) -> Response:
        try:
            # A redirect would send the token to another server.
            response = open_url(
                url,
                data=body,
                headers=headers,
                method=method,
                timeout=timeout,
                ca_path=ca_cert,
                follow_redirects="none",
                http_agent="qinling.kolla",
            )
            status = response.getcode()
        except urllib.error.HTTPError as error:
            response, status = error, error.code
        with response:
            return Response(status, {name.lower(): value for name, value in response.headers.items()}, response.read())

    return send


def encode_multipart(
    fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]], boundary: str | None = None
) -> tuple[str, bytes]:
    """Return the content type and the body of multipart/form-data with text fields and files (name and content).

    Files are not encoded: WebOb, which Qinling uses, does not decode a Content-Transfer-Encoding.
    """
    boundary = boundary or uuid.uuid4().hex
    parts = []
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts.append(head.encode() + value.encode() + b"\r\n")
    for name, (filename, content) in files.items():
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        parts.append(head.encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)


def message_of(body: bytes) -> str:
    """Return the message in the body of an error: Qinling's faultstring, Keystone's message, or the text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        data = json.loads(text)
    except ValueError:
        # Proxies answer in HTML, where the title is the message.
        title = _TITLE.search(text)
        return (title.group(1).strip() if title else text)[:_MESSAGE_LIMIT]
    if isinstance(data, dict):
        error = data.get("error")
        message = data.get("faultstring") or (error.get("message") if isinstance(error, dict) else error)
        if message:
            return str(message)[:_MESSAGE_LIMIT]
    return text[:_MESSAGE_LIMIT]


def login_body(auth: Mapping[str, Any]) -> dict[str, Any]:
    """Return Keystone's request for a token of the project; `auth` is the option of the modules."""
    domain = auth.get("domain_name") or "Default"
    return {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {
                        "name": auth["username"],
                        "domain": {"name": auth.get("user_domain_name") or domain},
                        "password": auth["password"],
                    }
                },
            },
            "scope": {
                "project": {
                    "name": auth["project_name"],
                    "domain": {"name": auth.get("project_domain_name") or domain},
                }
            },
        }
    }


def pick(kind: str, items: list[dict[str, Any]], reference: str) -> dict[str, Any] | None:
    """Return the item with a name or ID, or None. Raise QinlingError if the name is not unique."""
    for item in items:
        if item["id"] == reference:
            return item
    found = [item for item in items if item.get("name") == reference]
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found)
        raise QinlingError(f"{len(found)} {kind}s have the name {reference}: {ids}; remove or rename all but one")
    return found[0] if found else None


class Qinling:
    """Qinling's API for one user, who is logged in with the first request."""

    def __init__(
        self,
        params: Mapping[str, Any],
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a client from a module's parameters (those in ARGUMENTS)."""
        self.endpoint = params["endpoint"].rstrip("/")
        self.wait = params["wait"]
        self._auth = params["auth"]
        self._transport = transport or http_transport(params.get("ca_cert"))
        self._sleep = sleep
        self._clock = clock
        self._token = ""
        # Keystone's data about the token, such as roles and the catalog.
        self.token: Mapping[str, Any] = {}

    def log_in(self, seconds: float = REQUEST_SECONDS) -> None:
        """Request a token and the catalog from Keystone, unless the client already has a token."""
        if not self._token:
            self._token = self._log_in(seconds)

    def at(self, endpoint: str) -> Qinling:
        """Return a client with the same token for another endpoint of the same Qinling."""
        client = copy.copy(self)
        client.endpoint = endpoint.rstrip("/")
        return client

    def wait_until(self, probe: Callable[[], Any], timeout_message: Callable[[], str]) -> Any:
        """Call `probe` until its result is true, and return the result.

        Raise QinlingError with the result of `timeout_message` after `wait` seconds.
        """
        deadline = self._clock() + self.wait
        while True:
            found = probe()
            if found:
                return found
            if self._clock() >= deadline:
                raise QinlingError(timeout_message())
            self._sleep(POLL_SECONDS)

    def get(self, path: str) -> Any:
        """Return the data of a path below /v1."""
        return self._call("GET", path)

    def list(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind (``runtime`` or ``function``) that the user can see."""
        found: list[dict[str, Any]] = self.get(f"/{kind}s")[f"{kind}s"]
        return found

    def find(self, kind: str, reference: str) -> dict[str, Any] | None:
        """Return the object with a name or ID, or None."""
        return pick(kind, self.list(kind), reference)

    def require(self, kind: str, reference: str) -> dict[str, Any]:
        """Return the object with a name or ID. Raise QinlingError with the existing names if it does not exist."""
        items = self.list(kind)
        found = pick(kind, items, reference)
        if found is None:
            names = ", ".join(sorted(str(item.get("name") or item["id"]) for item in items)) or "none"
            raise QinlingError(f"{kind} {reference} does not exist at {self.endpoint}; existing {kind}s: {names}")
        return found

    def send(self, method: str, path: str, data: Any = None, seconds: float = REQUEST_SECONDS) -> Any:
        """Send a request with JSON data, and return the data of the response."""
        body = None if data is None else json.dumps(data).encode()
        return self._call(method, path, body, "application/json", seconds)

    def send_form(self, method: str, path: str, fields: Mapping[str, str], package: bytes | None) -> Any:
        """Send a form with fields and an optional zip archive, and return the data of the response."""
        files = {} if package is None else {"package": ("package.zip", package)}
        content_type, body = encode_multipart(fields, files)
        return self._call(method, path, body, content_type)

    def log_of(self, execution_id: str) -> str:
        """Return the output that a function printed during an execution."""
        response = self._authenticated("GET", f"/executions/{execution_id}/log", None, {"Accept": "text/plain, */*"})
        return response.body.decode("utf-8", "replace")

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "",
        seconds: float = REQUEST_SECONDS,
    ) -> Any:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        response = self._authenticated(method, path, body, headers, seconds)
        if not response.body.strip():
            return None
        try:
            return json.loads(response.body)
        except ValueError as error:
            raise QinlingError(
                f"{method} {self.endpoint}/v1{path}: the response is not JSON; expected Qinling's API; check endpoint"
            ) from error

    def _authenticated(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float = REQUEST_SECONDS
    ) -> Response:
        self.log_in()
        url = f"{self.endpoint}/v1{path}"
        return self._request("Qinling", method, url, body, {**headers, "X-Auth-Token": self._token}, seconds)

    def _log_in(self, seconds: float) -> str:
        base = self._auth["auth_url"].rstrip("/").removesuffix("/v3")
        url = f"{base}/v3/auth/tokens"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = json.dumps(login_body(self._auth)).encode()
        try:
            response = self._request("Keystone", "POST", url, body, headers, seconds)
        except HttpError as error:
            if error.status == 401:
                raise HttpError(
                    f"{str(error).rstrip('.')}. User {self._auth['username']}, project {self._auth['project_name']}: "
                    "check names, domains and password",
                    401,
                ) from error
            raise
        token = response.headers.get("x-subject-token", "")
        if not token:
            raise QinlingError(f"POST {url}: the response has no token; expected Keystone's API; check auth.auth_url")
        try:
            self.token = json.loads(response.body)["token"]
        except (ValueError, KeyError, TypeError):
            self.token = {}
        return token

    def _request(
        self, server: str, method: str, url: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> Response:
        """Send a request, repeatedly while the server does not accept it, and return a successful response."""
        deadline = self._clock() + self.wait
        while True:
            try:
                return self._request_once(server, method, url, body, headers, seconds)
            except _NotReadyError as error:
                if self._clock() >= deadline:
                    waited = f" for {self.wait} seconds" if self.wait else ""
                    raise UnreachableError(f"{error}{waited}; check that {server} runs, and its address") from error
            self._sleep(POLL_SECONDS)

    def _request_once(
        self, server: str, method: str, url: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> Response:
        request = f"{server}, {method} {url}"
        try:
            response = self._transport(method, url, headers, body, seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ConnectionRefusedError):
                raise _NotReadyError(f"{request}: connection refused") from error
            if isinstance(reason, TimeoutError):
                raise UnreachableError(f"{request}: no answer within {seconds:.0f} seconds") from error
            reachable = not isinstance(reason, OSError) or isinstance(reason, ssl.SSLError)
            raise (QinlingError if reachable else UnreachableError)(f"{request}: {reason}") from error
        if response.status == 503:
            raise _NotReadyError(f"{request}: status 503, {message_of(response.body) or 'service unavailable'}")
        if not 200 <= response.status < 300:
            reason = message_of(response.body) or http.client.responses.get(response.status, "")
            raise HttpError(f"{request}: status {response.status}, {reason}", response.status)
        return response


class ApiObject:
    """An object of Qinling that is brought to the state in a module's parameters."""

    def __init__(self, api: Qinling, params: dict[str, Any], check: bool) -> None:
        self.api = api
        self.params = params
        self.check = check
        self.done: list[str] = []

    def result(self, kind: str, found: dict[str, Any] | None) -> dict[str, Any]:
        """Return the module's result: the changes, and the object under the name of its kind if it exists."""
        result: dict[str, Any] = {"changed": bool(self.done), "done": self.done}
        return {**result, kind: found} if found else result


def finish(
    module: AnsibleModule,
    work: Callable[[Qinling], dict[str, Any]],
    failure: Callable[[dict[str, Any]], str] = lambda _result: "",
) -> None:
    """Run `work` with the API and exit the module with its result, or with the message of a QinlingError.

    `failure` returns the message if the result is a failure, and an empty text otherwise.
    """
    try:
        result = work(Qinling(module.params))
    except QinlingError as error:
        module.fail_json(msg=str(error))
    else:
        message = failure(result)
        if message:
            module.fail_json(msg=message, **result)
        module.exit_json(**result)

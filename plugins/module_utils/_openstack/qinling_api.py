# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Qinling's REST API, and as much of Keystone's as is needed to log in, with what Ansible brings along.

Requests, statuses and fields are those of Qinling 5.0.0's ``api/controllers/v1`` and of Keystone's API v3.
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
    """Something that an operator has to know; the message is complete and holds no secret."""


class UnansweredError(QinlingError):
    """Nobody listens there, or what listens is not ready."""


class HttpError(QinlingError):
    """The server answered that it will not."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _NotReadyError(Exception):
    """The server has not taken the request: it may be sent again."""


@dataclass(frozen=True)
class Answer:
    """What a server sent: status, headers with names in lower case, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# Takes method, URL, headers, body and timeout; raises OSError when there is no answer.
Transport = Callable[[str, str, dict[str, str], "bytes | None", float], Answer]


def http_transport(ca_cert: str | None) -> Transport:
    """Takes a file of CA certificates or none, returns a transport that trusts it."""

    def send(method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: float) -> Answer:
        try:
            # A redirect would carry the token to another server.
            answer = open_url(
                url,
                data=body,
                headers=headers,
                method=method,
                timeout=timeout,
                ca_path=ca_cert,
                follow_redirects="none",
                http_agent="qinling.kolla",
            )
            status = answer.getcode()
        except urllib.error.HTTPError as error:
            answer, status = error, error.code
        with answer:
            return Answer(status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())

    return send


def encode_multipart(
    fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]], boundary: str | None = None
) -> tuple[str, bytes]:
    """Takes text fields and files (name and content), returns the content type and the body of multipart/form-data.

    Files go as they are: WebOb, which Qinling reads them with, decodes no Content-Transfer-Encoding.
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
    """Takes the body of an error, returns what it says: Qinling's faultstring, Keystone's message, or its text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        data = json.loads(text)
    except ValueError:
        # Proxies answer in HTML, of which the title says it all.
        title = _TITLE.search(text)
        return (title.group(1).strip() if title else text)[:_MESSAGE_LIMIT]
    if isinstance(data, dict):
        error = data.get("error")
        message = data.get("faultstring") or (error.get("message") if isinstance(error, dict) else error)
        if message:
            return str(message)[:_MESSAGE_LIMIT]
    return text[:_MESSAGE_LIMIT]


def login_body(auth: Mapping[str, Any]) -> dict[str, Any]:
    """Takes the option ``auth``, returns Keystone's request for a token of the project."""
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
    """Takes what Qinling listed and a name or ID, returns the one that is meant, or none; names need not be unique."""
    for item in items:
        if item["id"] == reference:
            return item
    found = [item for item in items if item.get("name") == reference]
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found)
        raise QinlingError(
            f"there are {len(found)} {kind}s of the name {reference}: {ids}; remove or rename all but one"
        )
    return found[0] if found else None


class Qinling:
    """Qinling's API for one user. Logs in with the first call."""

    def __init__(
        self,
        params: Mapping[str, Any],
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes a module's parameters, of which it uses those in ARGUMENTS."""
        self.endpoint = params["endpoint"].rstrip("/")
        self.wait = params["wait"]
        self._auth = params["auth"]
        self._transport = transport or http_transport(params.get("ca_cert"))
        self._sleep = sleep
        self._clock = clock
        self._token = ""
        # What Keystone says of the token: its roles, and the catalog of what there is, and where.
        self.token: Mapping[str, Any] = {}

    def log_in(self, seconds: float = REQUEST_SECONDS) -> None:
        """Takes how long Keystone may take, gets a token and the catalog unless there is one."""
        if not self._token:
            self._token = self._log_in(seconds)

    def at(self, endpoint: str) -> Qinling:
        """Takes another address of the same Qinling, returns what asks there with the same token."""
        other = copy.copy(self)
        other.endpoint = endpoint.rstrip("/")
        return other

    def until(self, look: Callable[[], Any], late: Callable[[], str]) -> Any:
        """Takes a function that returns something true once it is so; returns that, or raises what ``late`` says."""
        deadline = self._clock() + self.wait
        while True:
            found = look()
            if found:
                return found
            if self._clock() >= deadline:
                raise QinlingError(late())
            self._sleep(POLL_SECONDS)

    def get(self, path: str) -> Any:
        """Takes a path below /v1, returns the data there."""
        return self._call("GET", path)

    def list(self, kind: str) -> list[dict[str, Any]]:
        """Takes ``runtime`` or ``function``, returns all that the user sees."""
        found: list[dict[str, Any]] = self.get(f"/{kind}s")[f"{kind}s"]
        return found

    def find(self, kind: str, reference: str) -> dict[str, Any] | None:
        """Takes a kind and a name or ID, returns the one that is meant, or none."""
        return pick(kind, self.list(kind), reference)

    def need(self, kind: str, reference: str) -> dict[str, Any]:
        """As ``find``, but raises an error that tells what there is."""
        items = self.list(kind)
        found = pick(kind, items, reference)
        if found is None:
            names = ", ".join(sorted(str(item.get("name") or item["id"]) for item in items)) or "none"
            raise QinlingError(f"there is no {kind} {reference} at {self.endpoint}; there are: {names}")
        return found

    def send(self, method: str, path: str, data: Any = None, seconds: float = REQUEST_SECONDS) -> Any:
        """Takes method, path and what to send as JSON, returns the answer's data."""
        body = None if data is None else json.dumps(data).encode()
        return self._call(method, path, body, "application/json", seconds)

    def send_form(self, method: str, path: str, fields: Mapping[str, str], package: bytes | None) -> Any:
        """Takes method, path, fields and a zip archive or none, returns the answer's data."""
        files = {} if package is None else {"package": ("package.zip", package)}
        content_type, body = encode_multipart(fields, files)
        return self._call(method, path, body, content_type)

    def log_of(self, execution_id: str) -> str:
        """Takes an execution's ID, returns what the function printed."""
        answer = self._authenticated("GET", f"/executions/{execution_id}/log", None, {"Accept": "text/plain, */*"})
        return answer.body.decode("utf-8", "replace")

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
        answer = self._authenticated(method, path, body, headers, seconds)
        if not answer.body.strip():
            return None
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise QinlingError(
                f"{method} {self.endpoint}/v1{path}: the answer is not JSON, so this is hardly Qinling; check endpoint"
            ) from error

    def _authenticated(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float = REQUEST_SECONDS
    ) -> Answer:
        self.log_in()
        url = f"{self.endpoint}/v1{path}"
        return self._request("Qinling", method, url, body, {**headers, "X-Auth-Token": self._token}, seconds)

    def _log_in(self, seconds: float) -> str:
        base = self._auth["auth_url"].rstrip("/").removesuffix("/v3")
        url = f"{base}/v3/auth/tokens"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = json.dumps(login_body(self._auth)).encode()
        try:
            answer = self._request("Keystone", "POST", url, body, headers, seconds)
        except HttpError as error:
            if error.status == 401:
                raise HttpError(
                    f"{str(error).rstrip('.')}. User {self._auth['username']}, project {self._auth['project_name']}: "
                    "check names, domains and password",
                    401,
                ) from error
            raise
        token = answer.headers.get("x-subject-token", "")
        if not token:
            raise QinlingError(f"POST {url}: the answer has no token, so this is hardly Keystone; check auth.auth_url")
        try:
            self.token = json.loads(answer.body)["token"]
        except (ValueError, KeyError, TypeError):
            self.token = {}
        return token

    def _request(
        self, server: str, method: str, url: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> Answer:
        """Sends a request, again while the server surely has not taken it; returns an answer that is a success."""
        deadline = self._clock() + self.wait
        while True:
            try:
                return self._request_once(server, method, url, body, headers, seconds)
            except _NotReadyError as error:
                if self._clock() >= deadline:
                    waited = f" for {self.wait} seconds" if self.wait else ""
                    raise UnansweredError(f"{error}{waited}; is {server} running, and is the address right?") from error
            self._sleep(POLL_SECONDS)

    def _request_once(
        self, server: str, method: str, url: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> Answer:
        what = f"{server}, {method} {url}"
        try:
            answer = self._transport(method, url, headers, body, seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ConnectionRefusedError):
                raise _NotReadyError(f"{what}: connection refused") from error
            if isinstance(reason, TimeoutError):
                raise UnansweredError(f"{what}: no answer within {seconds:.0f} seconds") from error
            answered = not isinstance(reason, OSError) or isinstance(reason, ssl.SSLError)
            raise (QinlingError if answered else UnansweredError)(f"{what}: {reason}") from error
        if answer.status == 503:
            raise _NotReadyError(f"{what}: status 503, {message_of(answer.body) or 'service unavailable'}")
        if not 200 <= answer.status < 300:
            reason = message_of(answer.body) or http.client.responses.get(answer.status, "")
            raise HttpError(f"{what}: status {answer.status}, {reason}", answer.status)
        return answer


class ApiObject:
    """Something that Qinling keeps, brought to what a module's parameters say."""

    def __init__(self, api: Qinling, params: dict[str, Any], check: bool) -> None:
        self.api = api
        self.params = params
        self.check = check
        self.done: list[str] = []

    def result(self, kind: str, found: dict[str, Any] | None) -> dict[str, Any]:
        """Takes the kind and what there is now, if anything, returns the module's result."""
        result: dict[str, Any] = {"changed": bool(self.done), "done": self.done}
        return {**result, kind: found} if found else result


def finish(
    module: AnsibleModule,
    work: Callable[[Qinling], dict[str, Any]],
    failure: Callable[[dict[str, Any]], str] = lambda _result: "",
) -> None:
    """Takes a module, what it does with the API, and what tells why its result is a failure (empty: it is none).

    Ends the module, with the result or with what went wrong.
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

# SPDX-License-Identifier: Apache-2.0
"""Fake Qinling and Keystone behind the transport of the modules."""

from __future__ import annotations

import email
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import Qinling, Response

AUTH = {"auth_url": "http://keystone", "username": "admin", "password": "the secret", "project_name": "admin"}


def parse_form(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """Parse multipart like WebOb, without decoding the parts."""
    boundary = content_type.partition("boundary=")[2].encode()
    fields, files = {}, {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _empty, content = part[2:-2].partition(b"\r\n\r\n")
        disposition = email.message_from_bytes(head + b"\r\n\r\n")
        name = str(disposition.get_param("name", header="content-disposition"))
        if disposition.get_filename():
            files[name] = content
        else:
            fields[name] = content.decode()
    return fields, files


class Cloud:
    """Responds to requests, and records them in ``calls``."""

    def __init__(self) -> None:
        self.runtimes: list[dict[str, Any]] = []
        self.functions: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.sent: list[Any] = []
        self.queue: list[Response | Exception] = []  # Responses that take precedence.
        self.execution: dict[str, Any] = {}
        self.later: Callable[[], None] = lambda: None  # Qinling's changes while the client waits.
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.later()

    def api(self, wait: int = 30) -> Qinling:
        params = {"endpoint": "http://qinling/", "auth": AUTH, "wait": wait}
        return Qinling(params, self.transport, self.sleep, lambda: self.now)

    def changes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith("GET")]

    def transport(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, _timeout: float
    ) -> Response:
        if self.queue:
            answer = self.queue.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if url == "http://keystone/v3/auth/tokens":
            return Response(201, {"x-subject-token": "the token"}, b"{}")
        assert headers["X-Auth-Token"] == "the token"
        path = url.removeprefix("http://qinling/v1")
        self.calls.append(f"{method} {path}")
        form = headers.get("Content-Type", "").startswith("multipart/")
        sent = parse_form(headers["Content-Type"], body) if form and body else json.loads(body) if body else None
        self.sent.append(sent)
        status, data = self.answer(method, path, sent)
        return Response(status, {}, data if isinstance(data, bytes) else json.dumps(data).encode())

    def answer(self, method: str, path: str, sent: Any) -> tuple[int, Any]:
        kind, _slash, rest = path.lstrip("/").partition("?")[0].partition("/")
        if kind == "executions":
            return self.execution_answer(method, rest)
        items = getattr(self, kind)
        if method == "GET" and not rest:
            # Like Qinling: lists contain JSON fields as texts.
            return 200, {kind: [{**item, "code": json.dumps(item.get("code"))} for item in items]}
        if method == "POST" and not rest:
            item = {"id": f"{kind}-{len(items)}", "trusted": True, "status": "available"}
            items.append(item)
            return 201, self.update(kind, item, sent)
        found = [item for item in items if item["id"] == rest.partition("/")[0]]
        if not found:
            return 404, {"faultstring": "not found"}
        item = found[0]
        if rest.endswith("/detach"):
            return 202, b""
        if method == "DELETE":
            items.remove(item)
            return 204, b""
        return 200, self.update(kind, item, sent) if method == "PUT" else item

    def update(self, kind: str, item: dict[str, Any], sent: Any) -> dict[str, Any]:
        if kind == "functions":
            fields, files = sent
            item.update(
                {name: int(text) if text.isdigit() else text for name, text in fields.items() if name != "code"}
            )
            if files:
                item["code"] = {"source": "package", "md5sum": hashlib.md5(files["package"]).hexdigest()}
        else:
            item.update(sent)
        return item

    def execution_answer(self, method: str, rest: str) -> tuple[int, Any]:
        if rest.endswith("/log"):
            return 200, b"printed\n"
        return (204, b"") if method == "DELETE" else (201, self.execution)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()

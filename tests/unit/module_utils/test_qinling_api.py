# SPDX-License-Identifier: Apache-2.0
"""Login, requests and error messages of the client, with a server on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import qinling_api
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import Qinling, QinlingError, finish

PASSWORD = "the very secret"
TOKEN = "the very token"
LOGIN = (201, {"X-Subject-Token": TOKEN}, b"{}")
RUNTIMES: tuple[int, dict[str, str], bytes] = (200, {}, b'{"runtimes": []}')


class Server(HTTPServer):
    script: list[tuple[int, dict[str, str], bytes]]
    seen: list[tuple[str, dict[str, str], bytes]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((f"{self.command} {self.path}", dict(self.headers), body))
        status, headers, content = self.server.script.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        found.script, found.seen = [], []
        thread = threading.Thread(target=found.serve_forever, args=(0.02,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def api_of(server: Server, wait: int = 0, **auth: str) -> Qinling:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    given = {"auth_url": f"{url}/v3", "username": "me", "password": PASSWORD, "project_name": "p", **auth}
    return Qinling({"endpoint": f"{url}/", "auth": given, "wait": wait}, sleep=lambda _seconds: None)


def test_logs_in_once_and_sends_the_token(server: Server) -> None:
    server.script = [LOGIN, RUNTIMES, RUNTIMES]
    api = api_of(server)
    assert api.list("runtime") == []
    assert api.list("runtime") == []
    assert [call for call, _headers, _body in server.seen] == ["POST /v3/auth/tokens", *["GET /v1/runtimes"] * 2]
    assert json.loads(server.seen[0][2])["auth"]["scope"]["project"] == {"name": "p", "domain": {"name": "Default"}}
    assert {name.lower(): value for name, value in server.seen[1][1].items()}["x-auth-token"] == TOKEN


DOMAINS = {
    "none": ({}, "Default", "Default"),
    "one for both": ({"domain_name": "d"}, "d", "d"),
    "one each": ({"domain_name": "d", "user_domain_name": "u", "project_domain_name": "p"}, "u", "p"),
}


@pytest.mark.parametrize(("given", "user", "project"), DOMAINS.values(), ids=DOMAINS)
def test_domains(given: dict[str, str], user: str, project: str) -> None:
    body = qinling_api.login_body({"username": "me", "password": "x", "project_name": "p", **given})["auth"]
    assert body["identity"]["password"]["user"]["domain"] == {"name": user}
    assert body["scope"]["project"]["domain"] == {"name": project}


FAILURES = {
    "Keystone refuses": (
        [(401, {}, b'{"error": {"message": "No."}}')],
        r"Keystone, POST .*/v3/auth/tokens: status 401, No\. User me, project p: check",
    ),
    "not Keystone": ([(200, {}, b"{}")], "the response has no token"),
    "Qinling refuses": ([LOGIN, (403, {}, b'{"faultstring": "Not you"}')], "GET .*/v1/runtimes: status 403, Not you"),
    "a proxy answers": ([LOGIN, (502, {}, b"<html><title>Bad gateway</title>")], "status 502, Bad gateway"),
    "no message": ([LOGIN, (500, {}, b"")], "status 500, Internal Server Error"),
    "not Qinling": ([LOGIN, (200, {}, b"<html>")], "the response is not JSON"),
    # The token must not be sent to the target of a redirect.
    "a redirect": ([LOGIN, (302, {"Location": "http://127.0.0.1:1/"}, b"")], "status 302, Found"),
    "still starting": ([(503, {}, b"")], "Keystone, .*: status 503, service unavailable; check that Keystone runs"),
}


@pytest.mark.parametrize(("script", "message"), FAILURES.values(), ids=FAILURES)
def test_failures(server: Server, script: list[Any], message: str) -> None:
    server.script = list(script)
    with pytest.raises(QinlingError, match=message) as caught:
        api_of(server).list("runtime")
    assert PASSWORD not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert server.script == []


def test_status_503_is_retried(server: Server) -> None:
    server.script = [(503, {}, b""), LOGIN, (503, {}, b""), (503, {}, b""), RUNTIMES]
    assert api_of(server, wait=30).list("runtime") == []


def test_refused_connection_is_retried_and_reported() -> None:
    auth = {"auth_url": "http://127.0.0.1:1", "username": "me", "password": PASSWORD, "project_name": "p"}
    now = iter(range(100))
    api = Qinling(
        {"endpoint": "http://127.0.0.1:1", "auth": auth, "wait": 3}, sleep=lambda _s: None, clock=lambda: next(now)
    )
    with pytest.raises(QinlingError, match="connection refused for 3 seconds; check that Keystone runs"):
        api.list("runtime")
    assert next(now) == 4, "the client did not retry for the whole time"


def test_multipart_does_not_encode_files() -> None:
    content = bytes(range(256)) + b"\r\n--B\r\n"[:2]
    content_type, body = qinling_api.encode_multipart({"name": "ü"}, {"package": ("p.zip", content)}, "B")
    assert content_type == "multipart/form-data; boundary=B"
    assert body == (
        b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + "ü".encode() + b"\r\n"
        b'--B\r\nContent-Disposition: form-data; name="package"; filename="p.zip"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--B--\r\n"
    )


class Module:
    """Records the result, and exits like Ansible's module."""

    params: ClassVar[dict[str, Any]] = {"endpoint": "http://qinling", "auth": {}, "wait": 0}

    def __init__(self) -> None:
        self.ends: list[tuple[str, dict[str, Any]]] = []

    def exit_json(self, **result: Any) -> None:
        self.ends.append(("exit", result))
        raise SystemExit

    def fail_json(self, **result: Any) -> None:
        self.ends.append(("fail", result))
        raise SystemExit


@pytest.mark.parametrize(
    ("why", "end"),
    [
        ("", ("exit", {"status": "error"})),
        ("it failed", ("fail", {"msg": "it failed", "status": "error"})),
    ],
)
def test_finish_exits_with_the_result_or_fails(why: str, end: tuple[str, dict[str, Any]]) -> None:
    module = Module()
    with pytest.raises(SystemExit):
        finish(module, lambda _api: {"status": "error"}, lambda _result: why)
    assert module.ends == [end]


def test_finish_fails_with_the_message_of_an_error() -> None:
    def work(_api: Qinling) -> dict[str, Any]:
        raise QinlingError("do this")

    module = Module()
    with pytest.raises(SystemExit):
        finish(module, work)
    assert module.ends == [("fail", {"msg": "do this"})]

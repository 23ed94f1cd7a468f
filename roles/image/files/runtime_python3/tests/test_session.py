# SPDX-License-Identifier: Apache-2.0
"""The session of functions, with a fake Keystone; and the settings."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from qinling_runtime.settings import Settings

CODE = """
def main(context, **kwargs):
    session = context["os_session"]
    assert session is context.get("os_session")
    catalog = session.get_endpoint(service_type="object-store", interface="public")
    again = session.get("/thing", endpoint_filter={"service_type": "object-store"}, raise_exc=False)
    return [type(session).__name__, catalog, session.get_token(), session.get_project_id(), again.status_code]
"""


class Keystone(http.server.BaseHTTPRequestHandler):
    seen: list[Any] = []  # noqa: RUF012 - emptied by the fixture

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("X-Auth-Token"), self.headers.get("X-Subject-Token")))
        me = f"http://127.0.0.1:{cast(Any, self.server).server_port}"
        endpoint = {"interface": "public", "url": f"{me}/swift", "region": "r", "region_id": "r", "id": "1"}
        token = {
            "expires_at": "2020-01-01T00:00:00.000000Z",
            "methods": ["token"],
            "project": {"id": "p-1", "name": "p", "domain": {"id": "default", "name": "Default"}},
            "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
            "catalog": [{"type": "object-store", "name": "swift", "id": "s", "endpoints": [endpoint]}],
        }
        body = json.dumps({"token": token}).encode() if self.path == "/v3/auth/tokens" else b"{}"
        self.send_response(401 if self.path.startswith("/swift/thing") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.seen.append((self.path, "POST", None))
        self.send_error(500)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def keystone() -> Iterator[str]:
    pytest.importorskip("keystoneauth1")
    Keystone.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keystone)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("suffix", ["", "/", "/v3", "/v3/"])
def test_token_is_used_unchanged_and_never_replaced(worker: Any, keystone: Any, suffix: str) -> None:
    # The token is expired and refused, but not replaced. The memory limit is small, and the session has its own memory.
    result = worker.run(CODE, token="trust-token", auth_url=keystone + suffix, memory_size=33554432)
    assert result["success"], result
    assert result["output"] == ["Session", f"{keystone}/swift", "trust-token", "p-1", 401]
    assert ("/v3/auth/tokens", "trust-token", "trust-token") in Keystone.seen
    assert "POST" not in [second for _unused, second, _unused in Keystone.seen]


def test_name_and_password_are_used_when_they_are_sent(worker: Any, keystone: Any) -> None:
    code = "def main(context):\n a = context['os_session'].auth\n return [type(a).__module__, a._username, a._trust_id]"
    result = worker.run(code, auth_url=keystone, username="svc", password="pw", trust_id="t-1", token="x")
    assert result["output"] == ["keystoneauth1.identity.generic.password", "svc", "t-1"]


@pytest.mark.parametrize(
    "fields", [{}, {"auth_url": "http://k/v3"}, {"token": "t"}, {"auth_url": "http://k", "username": "u"}]
)
def test_without_credentials_there_is_no_session(worker: Any, fields: dict[str, Any]) -> None:
    result = worker.run("def main(context):\n return [context['os_session'], dict(context), len(context)]", **fields)
    assert result["output"] == [None, {"os_session": None}, 1]


def test_session_is_created_only_on_use(worker: Any) -> None:
    code = "import sys\ndef main(context):\n return 'keystoneauth1' in sys.modules or 'requests' in sys.modules"
    assert worker.run(code, token="t", auth_url="http://k/v3")["output"] is False


def test_settings_come_from_the_environment() -> None:
    env = {"QINLING_RUNTIME_PORT": "99", "QINLING_RUNTIME_VERIFY": "/ca.crt", "QINLING_RUNTIME_SCRATCH": ""}
    result = Settings.from_env(env)
    assert (result.port, result.verify, result.scratch) == (99, "/ca.crt", "/tmp")


@pytest.mark.parametrize("value", ["x", "-1", "0", "1.5"])
def test_invalid_settings_name_their_variable(value: str) -> None:
    with pytest.raises(ValueError, match="QINLING_RUNTIME_PORT must be a positive whole number"):
        Settings.from_env({"QINLING_RUNTIME_PORT": value})


def test_functions_get_no_secrets_from_the_environment() -> None:
    env = {
        "QINLING_WORKER_TOKEN": "a",
        "QINLING_WORKER_TOKEN_SHA256": "b",
        "PATH": "/bin",
        "KUBERNETES_PORT": "c",
        "MINE": "d",
    }
    assert Settings().function_env(env) == {"PATH": "/bin"}
    settings = Settings(keep_env="MINE, QINLING_WORKER_TOKEN, QINLING_WORKER_TOKEN_SHA256")
    assert settings.function_env(env) == {"PATH": "/bin", "MINE": "d"}

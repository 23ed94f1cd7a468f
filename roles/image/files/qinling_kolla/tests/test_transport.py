# SPDX-License-Identifier: Apache-2.0
"""The adapter that drivers share."""

import json
import threading
from collections.abc import Iterator
from http import server
from typing import Any

import pytest
import requests

from qinling_kolla.orchestrator import transport


class Handler(server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        status, content = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

    def log_message(self, *_unused: Any) -> None:
        pass


@pytest.fixture
def http() -> Iterator[Any]:
    result = server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    result.seen, result.answer = [], (200, b"{}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=result.serve_forever)
    thread.start()
    yield result
    result.shutdown()
    result.server_close()
    thread.join()


class Adapter(transport.WorkerAdapter):
    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def resolve(self, url: str) -> transport.Target:
        name, _unused, path = url.removeprefix("test://").partition("/")
        if name == "gone":
            raise transport.NotReached("gone")
        return transport.Target(f"http://127.0.0.1:{self.port}/worker/{name}/{path}", {"X-Secret": f"of-{name}"})

    def not_reached(self, response: requests.Response) -> bool:
        return response.status_code == 503


@pytest.fixture
def session(http: Any) -> requests.Session:
    result = requests.Session()
    result.mount("test://", Adapter(http.server_port))
    return result


def test_the_url_is_rewritten_with_headers(
    session: requests.Session, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Requests to workers ignore the environment's proxy.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    http.answer = (200, b'{"a": 1}')
    response = session.post("test://fn-0/execute", json={"x": 1}, timeout=5)
    assert response.json() == {"a": 1}
    path, headers, body = http.seen[0]
    assert path == "/worker/fn-0/execute"
    assert headers["X-Secret"] == "of-fn-0"
    assert headers["Host"] == f"127.0.0.1:{http.server_port}"
    assert json.loads(body) == {"x": 1}


def test_response_of_a_gateway_is_not_the_workers(session: requests.Session, http: Any) -> None:
    http.answer = (503, b"no server")
    with pytest.raises(transport.NotReached, match="no worker behind test://fn-0/ping"):
        session.get("test://fn-0/ping", timeout=5)


def test_a_worker_that_cannot_be_resolved(session: requests.Session, http: Any) -> None:
    with pytest.raises(transport.NotReached):
        session.get("test://gone/ping", timeout=5)
    assert http.seen == []


@pytest.mark.parametrize(
    ("size", "limit", "fits"), [(0, 10, True), (10, 10, True), (11, 10, False), (300000, 10, False)]
)
def test_the_size_of_an_answer_is_limited(
    session: requests.Session, http: Any, size: int, limit: int, fits: bool
) -> None:
    http.answer = (200, b"x" * size)
    response = session.get("test://fn-0/execute", stream=True, timeout=5)
    if fits:
        assert transport.read_answer(response, limit) == b"x" * size
    else:
        with pytest.raises(transport.AnswerTooLarge):
            transport.read_answer(response, limit)


def test_base_adapter_resolves_nothing() -> None:
    with pytest.raises(NotImplementedError):
        transport.WorkerAdapter().resolve("test://x/ping")

# SPDX-License-Identifier: Apache-2.0
"""Requests from the engine to a worker."""

import contextlib
import io
import json
import logging
import socket
import threading
import time
import types
from collections.abc import Callable, Iterator
from http import server
from typing import Any

import pytest
import requests
import urllib3

from qinling_kolla import identity, worker
from qinling_kolla.orchestrator import transport


class FakeWorker:
    """A fake worker that answers a POST as configured and records requests."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.ping_status = 200
        self.pings = 0
        self.execute: Callable[[server.BaseHTTPRequestHandler, dict[str, Any]], None] = answer({"output": 1})
        fake = self

        class Handler(server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake.pings += 1
                self.send_response(fake.ping_status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.posts.append(body)
                fake.execute(self, body)

            def log_message(self, *_unused: Any) -> None:
                pass

        self.server = server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # The tests include connections closed by the engine.
        self.server.handle_error = lambda *_unused: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.server.server_port}/execute"


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    def run(handler: server.BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    return run


def hang_up(handler: server.BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def sleep_for(seconds: float) -> Any:
    def run(handler: server.BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        time.sleep(seconds)

    return run


@pytest.fixture
def fake() -> Iterator[FakeWorker]:
    fake = FakeWorker()
    thread = threading.Thread(target=fake.server.serve_forever, args=(0.05,))
    thread.start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(conf: Any, monkeypatch: pytest.MonkeyPatch, option: Callable[..., None]) -> None:
    monkeypatch.setattr(worker, "PING_SECONDS", 0.3)
    monkeypatch.setattr(worker, "_warm", {})
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.05)
    option("engine", "worker_read_margin", 1)


def test_an_execution(fake: FakeWorker) -> None:
    fake.execute = answer({"output": {"a": 1}, "duration": 0.1, "logs": "hello", "success": True})
    body = {"execution_id": "e1", "timeout": 5, "input": {"x": 1}}
    assert worker.url_request(requests.Session(), fake.url, body=body) == (
        True,
        {"output": {"a": 1}, "duration": 0.1, "logs": "hello", "success": True},
    )
    assert fake.posts == [body]


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, b'{"output": 1}', {"output": 1, "success": True}),
        (200, b'{"output": 1, "success": false}', {"output": 1, "success": False}),
        (200, b'{"logs": ["a"]}', {"logs": "['a']", "success": True}),
        (500, b'{"output": "no package"}', {"output": "no package", "success": False}),
    ],
)
def test_answers(status: int, content: bytes, expected: dict[str, Any]) -> None:
    assert worker.read_result(status, content) == expected


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (200, b"[1]", "the function's worker answered without a result"),
        (500, b"<html>", "the function's worker answered without a result"),
        (200, b"\xff", "the function's worker answered without a result"),
        (502, b"The connection broke.", "the function's worker broke the connection"),
        (504, b"No answer in time.", "the function's worker did not answer in time"),
    ],
)
def test_an_answer_without_a_result_is_a_failure_of_the_platform(status: int, content: bytes, reason: str) -> None:
    with pytest.raises(worker.Lost) as raised:
        worker.read_result(status, content)
    assert raised.value.reason == reason
    assert str(status) in str(raised.value)


def test_the_functions_timeout_limits_the_wait(fake: FakeWorker) -> None:
    fake.execute = sleep_for(5)
    begin = time.monotonic()
    success, result = worker.url_request(requests.Session(), fake.url, {"timeout": 0.2})
    assert not success
    assert result["output"] == "Function execution timeout."
    assert 1.0 <= time.monotonic() - begin < 3
    assert len(fake.posts) == 1


def test_request_that_may_have_started_is_not_repeated(fake: FakeWorker) -> None:
    fake.execute = hang_up
    with pytest.raises(worker.Lost):
        worker.url_request(requests.Session(), fake.url, {"timeout": 1})
    assert len(fake.posts) == 1


def test_a_redirect_is_not_followed(fake: FakeWorker) -> None:
    other = FakeWorker()
    fake.execute = answer(b"", 307, {"Location": other.url})
    with pytest.raises(worker.Lost):
        worker.url_request(requests.Session(), fake.url, {"timeout": 1})
    assert other.posts == []
    other.server.server_close()


def test_too_large_response_is_refused(fake: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER", 100)
    fake.execute = answer(b"x" * 101)
    success, result = worker.url_request(requests.Session(), fake.url, {"timeout": 1})
    assert not success
    assert result["output"].startswith("Function execution failed: its answer is larger than")


def test_an_address_that_answered_needs_no_ping(fake: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    session = requests.Session()
    for expected in (1, 1, 1):
        worker.url_request(session, fake.url, {"timeout": 1})
        assert fake.pings == expected
    monkeypatch.setattr(worker, "WARM_SECONDS", 0)
    worker.url_request(session, fake.url, {"timeout": 1})
    worker.url_request(session, fake.url, {"timeout": 1})
    assert fake.pings == 2


def test_an_address_that_failed_needs_a_ping_again(fake: FakeWorker) -> None:
    session = requests.Session()
    for execute in (answer({"output": 1}), hang_up, answer({"output": 1})):
        fake.execute = execute
        with contextlib.suppress(worker.Lost):
            worker.url_request(session, fake.url, {"timeout": 1})
    assert fake.pings == 2
    assert len(fake.posts) == 3


def test_a_warm_worker_that_is_lost_is_unreachable(fake: FakeWorker) -> None:
    session = requests.Session()
    worker.url_request(session, fake.url, {"timeout": 1})
    fake.server.shutdown()
    fake.server.server_close()
    session.close()
    with pytest.raises(worker.Unreachable):
        worker.url_request(session, fake.url, {"timeout": 1})
    assert len(fake.posts) == 1


def test_a_worker_that_does_not_answer_is_unreachable(fake: FakeWorker) -> None:
    fake.ping_status = 502
    with pytest.raises(worker.Unreachable):
        worker.url_request(requests.Session(), fake.url, {"timeout": 1})
    assert fake.posts == []


def test_connection_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(worker.Unreachable):
        worker.url_request(requests.Session(), f"http://127.0.0.1:{port}/execute", {"timeout": 1})


class Flaky(requests.Session):
    """A session whose first POSTs raise the given errors."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self.errors, self.posts = errors, 0

    def get(self, url: Any, **kwargs: Any) -> Any:
        return made_response(b"pong")

    def post(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        self.posts += 1
        if self.errors:
            raise self.errors.pop(0)
        return made_response(b'{"output": "done"}')


def made_response(content: bytes) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.raw = urllib3.HTTPResponse(io.BytesIO(content), preload_content=False)
    return response


def new_connection_error() -> requests.ConnectionError:
    reason = urllib3.exceptions.NewConnectionError(None, "refused")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", reason))


@pytest.mark.parametrize(
    ("error", "again", "lost"),
    [
        (transport.NotReached("x"), True, False),
        (new_connection_error(), True, False),
        (requests.ConnectTimeout(), True, False),
        (requests.ReadTimeout(), False, False),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("aborted")), False, True),
        (requests.ConnectionError(), False, True),
        (requests.exceptions.ChunkedEncodingError(), False, True),
    ],
)
def test_only_requests_that_never_arrived_are_repeated(
    error: requests.RequestException, again: bool, lost: bool
) -> None:
    session = Flaky([error])
    with pytest.raises(worker.Lost) if lost else contextlib.nullcontext():
        success, _unused = worker.url_request(session, "http://worker/execute", {"timeout": 1})
        assert success is again
    assert session.posts == (2 if again else 1)
    assert worker.never_arrived(error) is again


def test_a_post_that_never_arrives_is_unreachable() -> None:
    with pytest.raises(worker.Unreachable):
        worker.url_request(
            Flaky([transport.NotReached("x") for _number in range(100)]), "http://w/execute", {"timeout": 1}
        )


def test_requests_and_responses_are_not_logged(fake: FakeWorker, caplog: pytest.LogCaptureFixture) -> None:
    body = {"timeout": 1, "input": {"card": "4111-1111"}, "token": "tok-secret", "execution_id": "e1"}
    with caplog.at_level(logging.DEBUG):
        for execute in (answer({"output": "ans-secret"}), answer(b"ans-secret", 500), hang_up, sleep_for(3)):
            fake.execute = execute
            with contextlib.suppress(worker.Lost):
                worker.url_request(requests.Session(), fake.url, body)
    for secret in ("4111-1111", "tok-secret", "ans-secret"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("endpoint", "version", "expected"),
    [
        ("http://api:7070", 0, "http://api:7070/v1/functions/f1?download=true"),
        ("http://api:7070/", 3, "http://api:7070/v1/functions/f1/versions/3?download=true"),
    ],
)
def test_download_url(endpoint: str, version: int, expected: str) -> None:
    assert worker.download_url(endpoint, "f1", version) == expected


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    requested: list[tuple[str, float]] = []

    def access(conf: Any, trust_id: str, lifetime: float = 0) -> Any:
        requested.append((trust_id, lifetime))
        return types.SimpleNamespace(auth_token="trust-token")

    monkeypatch.setattr(identity, "trust_access", access)
    return requested


def request_data(conf: Any, trust_id: str | None = "t1", version: int = 0) -> dict[str, Any]:
    rlimit = {"cpu": 100, "memory_size": 1000}
    return worker.get_request_data(
        conf, "f1", version, "e1", rlimit, {"x": 1}, "main.main", trust_id, "http://api:7070", 5
    )


COMMON = {
    "execution_id": "e1",
    "cpu": 100,
    "memory_size": 1000,
    "input": {"x": 1},
    "function_id": "f1",
    "function_version": 0,
    "entry": "main.main",
    "download_url": "http://api:7070/v1/functions/f1?download=true",
    "timeout": 5,
}


@pytest.mark.parametrize(
    ("auth", "credentials", "trust_id", "expected"),
    [
        (False, "trust", "t1", {}),
        (True, "trust", "t1", {"token": "trust-token", "trust_id": "t1"}),
        (True, "trust", None, {"token": "user-token", "trust_id": None}),
        (
            True,
            "password",
            "t1",
            {"token": "user-token", "trust_id": "t1", "username": "qinling", "password": "service-secret"},
        ),
    ],
)
def test_credentials(
    conf: Any,
    ctx: Any,
    option: Callable[..., None],
    trust: list[tuple[str, float]],
    auth: bool,
    credentials: str,
    trust_id: str | None,
    expected: dict[str, Any],
) -> None:
    option("pecan", "auth_enable", auth)
    option("engine", "worker_credentials", credentials)
    data = request_data(conf, trust_id)
    assert data.pop("request_id") == ctx.request_id
    if auth:
        expected = {**expected, "auth_url": "http://127.0.0.1:9/v3"}
    assert data == {**COMMON, **expected}
    if expected.get("token") == "trust-token":
        assert trust == [("t1", 6)]

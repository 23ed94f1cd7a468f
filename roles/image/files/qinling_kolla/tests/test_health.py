# SPDX-License-Identifier: Apache-2.0
"""Health, with checks that succeed, fail, raise secrets and hang."""

import http.server
import json
import pathlib
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import pytest
from oslo_config import cfg
from qinling import config as qinling_config

from qinling_kolla import health
from qinling_kolla.health import Health, Report, UnhealthyError


def good() -> None:
    """Succeed."""


def bad() -> None:
    raise UnhealthyError("not reachable")


def in_turn(*probes: Callable[[], None]) -> Callable[[], None]:
    """Return a probe that calls the next of `probes` each time."""
    remaining = iter(probes)

    def probe() -> None:
        next(remaining)()

    return probe


def leaking() -> None:
    raise ValueError("SELECT * FROM users; password=s3cret")


class Hanging:
    """A check that hangs until released and counts its calls."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self.release.wait(60)


@pytest.mark.parametrize(
    ("checks", "status", "code", "reasons"),
    [
        ({"a": good, "b": good}, "ok", 200, {"a": None, "b": None}),
        ({"a": good, "b": bad}, "degraded", 503, {"a": None, "b": "not reachable"}),
        ({"a": bad, "b": leaking}, "failed", 503, {"a": "not reachable", "b": "ValueError"}),
    ],
)
def test_reports(checks: dict[str, Any], status: str, code: int, reasons: dict[str, Any]) -> None:
    report = Health(checks).report()
    assert (report.status, report.http_status()[0]) == (status, code)
    assert report.checks == reasons
    body = json.loads(report.body())
    assert body["status"] == status
    assert {name: check.get("reason") for name, check in body["checks"].items()} == reasons
    assert b"s3cret" not in report.body()


def test_hanging_checks_cost_one_limit_together_and_one_thread_each() -> None:
    one, two = Hanging(), Hanging()
    state = Health({"one": one, "two": two, "good": good}, limit=0.3, keep=0.0)
    for _number in range(3):
        started = time.monotonic()
        report = state.report()
        assert time.monotonic() - started < 0.6
        assert report.checks == {"one": "no answer within 0.3 s", "two": "no answer within 0.3 s", "good": None}
    assert (one.calls, two.calls) == (1, 1)
    one.release.set()
    two.release.set()
    time.sleep(0.1)
    # Released checks run again.
    assert state.report().status == "ok"
    assert (one.calls, two.calls) == (2, 2)


def test_many_callers_cost_as_much_as_one() -> None:
    calls: list[Any] = []

    def slow() -> None:
        calls.append(None)
        time.sleep(0.2)

    state = Health({"slow": slow})
    threads = [threading.Thread(target=state.report) for _number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_results_are_cached_briefly() -> None:
    state = Health({"x": in_turn(bad, good)}, keep=0.2)
    assert state.report().status == "failed"
    assert state.report().status == "failed"
    time.sleep(0.25)
    assert state.report().status == "ok"


def test_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "qinling_kolla.health")
    state = Health({"x": in_turn(good, bad, bad, good)}, keep=0.0)
    for _number in range(4):
        state.report()
    assert caplog.messages == ["Health of x: not reachable", "Health of x: ok again"]


def test_a_check_can_be_added_and_replaced_at_once() -> None:
    state = Health({"x": bad}, keep=60)
    assert state.report().status == "failed"
    state.add("x", good)
    state.add("y", good)
    assert state.report() == Report({"x": None, "y": None})


def call(app: Any, method: Any, path: Any) -> tuple[Any, Any]:
    seen: dict[str, Any] = {}
    body = app({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda status, headers: seen.update(status=status))
    return seen.get("status"), b"".join(body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthcheck", "503 Service Unavailable"),
        ("HEAD", "/healthcheck", "503 Service Unavailable"),
        ("POST", "/healthcheck", "200 app"),
        ("GET", "/healthcheck/more", "200 app"),
        ("GET", "/v1/runtimes", "200 app"),
    ],
)
def test_middleware_answers_only_its_path(method: str, path: str, status: str) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 app", [])
        return [b"app"]

    seen, body = call(health.Middleware(app, Health({"x": bad})), method, path)
    assert seen == status
    assert (body == b"app") == (status == "200 app")
    assert (body == b"") == (method == "HEAD")


def ask_socket(path: Any) -> tuple[int, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(b"GET /healthcheck HTTP/1.0\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    head, _unused, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_listener_serves_the_report_to_its_own_user_only(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "engine.sock"
    probe = in_turn(good, bad)
    for expected in (200, 503):
        # The second listener replaces the socket of the first.
        listener = health.Listener(str(path), Health({"x": probe}))
        listener.start()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        status, report = ask_socket(path)
        assert status == expected
        assert "x" in report["checks"]
        listener.shutdown()
        listener.server_close()


def test_database_check(tmp_path: pathlib.Path) -> None:
    import sqlalchemy as sa

    url = f"sqlite:///{tmp_path / 'q.sqlite'}"
    check = health.database_check(url)
    with pytest.raises(UnhealthyError, match=r"^OperationalError$"):
        check()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('010')"))
    with pytest.raises(UnhealthyError, match="not migrated"):
        check()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '011'"))
    check()


@pytest.fixture
def conf(tmp_path: pathlib.Path) -> Callable[..., Any]:
    def parse(text: Any) -> Any:
        conf = cfg.ConfigOpts()
        for group, options in qinling_config.list_opts():
            if group in ("etcd", None):
                conf.register_opts(list(options), group=group)
        path = tmp_path / "qinling.conf"
        path.write_text(text)
        conf(args=["--config-file", str(path)], project="qinling")
        return conf

    return parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("[etcd]\n", False),
        ("[etcd]\nca_cert = /x\n", False),
        ("[etcd]\nhost = 10.0.0.1\n", True),
        ("[etcd]\nprotocol = http\n", True),
    ],
)
def test_etcd_counts_only_when_configured(conf: Any, text: str, expected: bool) -> None:
    assert health.etcd_in_use(conf(text)) is expected


@pytest.fixture
def etcd() -> Iterator[tuple[Any, Any]]:
    answers: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            assert self.path == "/health"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], answers
    server.shutdown()
    server.server_close()


def test_etcd_check_reads_etcds_health(conf: Any, etcd: Any) -> None:
    port, answers = etcd
    check = health.etcd_check(conf(f"[etcd]\nhost = 127.0.0.1\nport = {port}\nprotocol = http\n"))
    answers.append((200, b'{"health":"true"}'))
    check()
    for answer in ((503, b'{"health":"false"}'), (200, b'{"health":"false"}'), (200, b"<html>"), (200, b"[]")):
        answers.append(answer)
        with pytest.raises(UnhealthyError, match="etcd reports that it is not healthy"):
            check()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("protocol = http\nport = 1", "no connection"),
        ("protocol = https\nport = 1\nca_cert = /nowhere/ca.crt", "cannot be read"),
    ],
)
def test_etcd_check_failures(conf: Any, options: str, reason: str) -> None:
    with pytest.raises(UnhealthyError, match=reason):
        health.etcd_check(conf(f"[etcd]\nhost = 127.0.0.1\n{options}\n"))()


class FakeChannel:
    is_open = True

    def __init__(self, broker: Any) -> None:
        self.broker = broker

    def queue_declare(self, queue: Any, passive: Any) -> Any:
        assert passive
        if queue not in self.broker.consumers:
            self.is_open = False
            raise amqp.exceptions.NotFound("no queue")
        return amqp.protocol.queue_declare_ok_t(queue, 0, self.broker.consumers[queue])

    def close(self) -> None:
        pass


class FakeBroker:
    """A fake of py-amqp's Connection."""

    def __init__(self) -> None:
        self.consumers: dict[str, int] = {}
        self.connected = 0
        self.arguments: list[Any] = []
        self.failures: list[Any] = []

    def __call__(self, **arguments: Any) -> Any:
        self.arguments.append(arguments)
        return self

    def connect(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.connected += 1

    def channel(self) -> FakeChannel:
        if self.failures:
            raise self.failures.pop(0)
        return FakeChannel(self)

    def collect(self) -> None:
        pass


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    fake = FakeBroker()
    monkeypatch.setattr(amqp, "Connection", fake)
    return fake


def queue_of(conf: Any, url: str = "rabbit://u:s3cret@h1:5673,u:s3cret@[::1]//", more: str = "") -> Any:
    return health.Queue(conf(f"[DEFAULT]\ntransport_url = {url}\n{more}"))


def test_queue_reuses_its_connection_and_reconnects(conf: Any, broker: Any) -> None:
    queue = queue_of(conf)
    for _number in range(3):
        queue.check()
    assert broker.connected == 1
    broker.failures = [ConnectionResetError()]
    queue.check()
    assert broker.connected == 2


def test_queue_tries_each_host_and_reports_the_last_failure(conf: Any, broker: Any) -> None:
    broker.failures = [ConnectionRefusedError(), amqp.exceptions.AccessRefused("s3cret")]
    with pytest.raises(UnhealthyError) as caught:
        queue_of(conf).check()
    assert [arguments["host"] for arguments in broker.arguments] == ["h1:5673", "[::1]:5672"]
    assert broker.arguments[0]["virtual_host"] == "/"
    assert "access refused" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("consumers", "reason"),
    [({}, "no queue yet"), ({"qinling_engine.h": 0}, "does not listen"), ({"qinling_engine.h": 1}, None)],
)
def test_consumer_check_detects_the_rpc_server(
    conf: Any, broker: Any, consumers: dict[str, Any], reason: str | None
) -> None:
    broker.consumers = consumers
    check = queue_of(conf).consumer_check("qinling_engine.h")
    if reason is None:
        check()
    else:
        with pytest.raises(UnhealthyError, match=reason):
            check()


def test_queue_reads_tls_options_of_oslo_messaging(conf: Any, broker: Any) -> None:
    queue = queue_of(conf, more="[oslo_messaging_rabbit]\nssl = true\nssl_ca_file = /ca.pem\n")
    queue.check()
    assert broker.arguments[0]["ssl"] == {"ca_certs": "/ca.pem"}


def test_other_transports_are_not_checked(conf: Any) -> None:
    assert not queue_of(conf, "fake://").supported


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, None), (True, None), (False, "not reachable"), (RuntimeError("token=s3cret"), "RuntimeError")],
)
def test_orchestrator_check_calls_the_driver(answer: Any, reason: str | None) -> None:
    class Driver:
        def healthy(self) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    check = health.orchestrator_check(Driver())
    assert check
    report = Health({"orchestrator": check}).report()
    assert report.checks == {"orchestrator": reason}


def test_driver_without_health_method_has_no_check() -> None:
    assert health.orchestrator_check(object()) is None


def test_listener_creates_its_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        health.Listener(str(tmp_path / "file" / "x.sock"), Health({}))

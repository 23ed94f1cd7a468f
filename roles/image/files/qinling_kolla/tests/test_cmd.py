# SPDX-License-Identifier: Apache-2.0
"""The commands: their output, exit codes and refusals."""

import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any, cast

import pytest
import sqlalchemy as sa

from qinling_kolla import database, health
from qinling_kolla.cmd import db_manage, engine, healthcheck, start

CURRENT = database.classify(
    {
        "runtimes": {"trusted": True},
        "functions": {"latest_version": False, "cpu": False, "memory_size": False},
        "executions": {"function_version": False, "function_alias": True, "function_id": True},
        "jobs": {"function_version": False, "function_alias": True, "function_id": True},
        "webhooks": {"function_version": True, "function_alias": True, "function_id": True},
        "function_versions": {},
        "function_aliases": {},
    },
    ["011"],
)
EMPTY = database.classify({}, [])
AT_004 = database.Finding(database.State.OUTDATED, "004", "revision 004 is recorded, 011 is needed")
BROKEN = database.Finding(database.State.BROKEN, "002", "migration 003 was interrupted", ("half",), ("do this",))


class Database:
    """A fake database with a sequence of states, the last of which lasts."""

    def __init__(self, *findings: Any) -> None:
        self.findings = list(findings)

    def __call__(self, url: str, *args: Any) -> Any:
        return self.findings.pop(0) if len(self.findings) > 1 else self.findings[0]


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def use(*findings: Any) -> None:
        one = Database(*findings)
        monkeypatch.setattr(database, "inspect", one)
        monkeypatch.setattr(database, "wait", one)

    return use


def test_the_sample_is_current() -> None:
    assert CURRENT.state is database.State.CURRENT


@pytest.mark.parametrize(("finding", "code"), [(CURRENT, 0), (EMPTY, 1), (AT_004, 1), (BROKEN, 2)])
def test_check(states: Any, capsys: pytest.CaptureFixture[str], finding: Any, code: int) -> None:
    states(finding)
    assert db_manage.check("sqlite://") == code
    assert finding.reason in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "revision", "after", "ran", "code", "last"),
    [
        (EMPTY, "head", CURRENT, True, 0, "qinling-db-manage: changed=true"),
        (AT_004, "head", CURRENT, True, 0, "qinling-db-manage: changed=true"),
        (CURRENT, "head", CURRENT, False, 0, "qinling-db-manage: changed=false"),
        (CURRENT, "011", CURRENT, False, 0, "qinling-db-manage: changed=false"),
        (AT_004, "004", AT_004, False, 0, "qinling-db-manage: changed=false"),
        (EMPTY, "004", AT_004, True, 0, "qinling-db-manage: changed=true"),
        (BROKEN, "head", BROKEN, False, 2, "qinling-db-manage:   do this"),
    ],
)
def test_upgrade(
    states: Any,
    capsys: pytest.CaptureFixture[str],
    before: Any,
    revision: str,
    after: Any,
    ran: bool,
    code: int,
    last: str,
) -> None:
    states(before, before, after)
    calls: list[None] = []
    assert db_manage.upgrade("sqlite://", revision, lambda: calls.append(None)) == code
    assert bool(calls) is ran
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_upgrade_by_another_host_is_not_repeated(states: Any, capsys: pytest.CaptureFixture[str]) -> None:
    states(EMPTY, CURRENT)
    assert db_manage.upgrade("sqlite://", "head", lambda: pytest.fail("migrated twice")) == 0
    assert capsys.readouterr().out.endswith("changed=false\n")


def test_interrupted_upgrade_prints_the_finding(states: Any, capsys: pytest.CaptureFixture[str]) -> None:
    states(AT_004, AT_004, BROKEN)

    def run() -> None:
        raise sa.exc.OperationalError("ALTER TABLE secret", {}, ValueError(1060, "Duplicate column"))

    assert db_manage.upgrade("sqlite://", "head", run) == 1
    out = capsys.readouterr().out
    assert "the migration stopped: ValueError: (1060, 'Duplicate column')" in out
    assert "ALTER TABLE secret" not in out
    assert "migration 003 was interrupted" in out
    assert "changed=" not in out


@pytest.mark.parametrize(("after", "marker"), [(CURRENT, "changed=true"), (AT_004, "changed=false")])
def test_stamp(states: Any, capsys: pytest.CaptureFixture[str], after: Any, marker: str) -> None:
    states(AT_004, after)
    assert db_manage.stamp("sqlite://", lambda: None) == 0
    assert marker in capsys.readouterr().out


def run_db_manage(tmp_path: pathlib.Path, *arguments: Any) -> Any:
    (tmp_path / "qinling.conf").write_text(f"[database]\nconnection = sqlite:///{tmp_path / 'q.sqlite'}\n")
    command = [sys.executable, "-m", "qinling_kolla.cmd.db_manage", "--config-file", str(tmp_path / "qinling.conf")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_qinlings_own_subcommands_work(tmp_path: pathlib.Path) -> None:
    assert run_db_manage(tmp_path, "check").returncode == 1
    result = run_db_manage(tmp_path, "upgrade", "002")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("revision 002\nqinling-db-manage: changed=true\n")
    assert run_db_manage(tmp_path, "upgrade", "002").stdout.endswith("changed=false\n")
    # SQLite fails in the second step of migration 003, which leaves a half-migrated database.
    result = run_db_manage(tmp_path, "upgrade", "head")
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    history = run_db_manage(tmp_path, "history")
    assert history.returncode == 0
    assert "010 -> 011 (head)" in history.stdout


@pytest.mark.parametrize("finding", [EMPTY, AT_004, BROKEN])
def test_services_refuse_a_database_that_is_not_migrated(finding: Any) -> None:
    conf = types.SimpleNamespace(database=types.SimpleNamespace(connection="sqlite://"))
    with pytest.raises(RuntimeError) as caught:
        start.check_database(conf, lambda url: finding)
    assert finding.reason in str(caught.value)
    assert "never change its tables" in str(caught.value)
    start.check_database(conf, lambda url: CURRENT)


def service_config(tmp_path: pathlib.Path, connection: Any) -> list[str]:
    path = tmp_path / "qinling.conf"
    path.write_text(
        f"[DEFAULT]\nqinling_endpoint = http://127.0.0.1:7070\n[database]\nconnection = {connection}\n"
        "[keystone_authtoken]\nauth_url = http://127.0.0.1:1/v3\n"
    )
    return ["--config-file", str(path)]


@pytest.mark.parametrize("service", ["api", "engine"])
def test_service_exits_with_a_message_on_an_empty_database(tmp_path: pathlib.Path, service: str) -> None:
    command = [sys.executable, "-m", f"qinling_kolla.cmd.{service}"]
    command += service_config(tmp_path, f"sqlite:///{tmp_path / 'q.sqlite'}")
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "The database is outdated: it is empty." in result.stderr
    assert "qinling-db-manage upgrade head" in result.stderr
    assert "Traceback" not in result.stderr
    assert database.inspect(f"sqlite:///{tmp_path / 'q.sqlite'}").reason == "it is empty"


def test_service_waiting_for_its_database_can_be_stopped(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "qinling_kolla.cmd.engine"]
    command += service_config(tmp_path, "mysql+pymysql://u:s3cret@127.0.0.1:1/qinling")
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
    try:
        until = time.monotonic() + 60
        while "next attempt in 2 s" not in (tmp_path / "stderr").read_text():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    text = (tmp_path / "stderr").read_text()
    assert "Waiting for the database 127.0.0.1:1/qinling: no connection" in text
    assert "s3cret" not in text


def test_missing_configuration_file_is_reported_in_one_line(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "qinling_kolla.cmd.api", "--config-file", str(tmp_path / "missing.conf")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "missing.conf" in result.stderr
    assert "Traceback" not in result.stderr


def test_engine_retries_its_start_with_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    failures = [OSError("no Keystone"), ValueError("no cluster")]
    pauses: list[float] = []

    def begin() -> None:
        if failures:
            raise failures.pop(0)

    engine.start_with_retries(begin, lambda: True, pauses.append)
    assert pauses == [engine.RETRY_SECONDS] * 2
    assert "OSError: no Keystone" in caplog.text
    assert "ValueError: no cluster" in caplog.text


def test_engine_that_must_not_retry_raises() -> None:
    def begin() -> None:
        raise OSError("half started")

    with pytest.raises(OSError, match="half started"):
        engine.start_with_retries(begin, lambda: False, lambda seconds: pytest.fail("waited"))


def test_the_engine_is_not_healthy_before_it_serves() -> None:
    class Queue:
        supported = True

        def consumer_check(self, name: Any) -> Callable[..., Any]:
            assert name == "topic.host"
            return lambda: None

    class Driver:
        def healthy(self) -> bool:
            return False

    conf = types.SimpleNamespace(engine=types.SimpleNamespace(topic="topic", host="host"))
    state = health.Health({"rpc": engine._starting})
    assert state.report().checks == {"rpc": "the engine has not started yet; see its log"}
    engine.watch_served(state, cast(Any, Queue()), conf, Driver())
    assert state.report().checks == {"rpc": None, "orchestrator": "not reachable"}


INI = """
# [api] port = 1
[DEFAULT]
port = 2
[api]
host = 0.0.0.0
port=7171
  continued = 3
; port = 4
[engine]
health_socket = "/x/y.sock"
[api]
port = 7272
"""


def test_healthcheck_reads_options() -> None:
    options = healthcheck.read_options(INI)
    assert options["api", "port"] == "7272"
    assert options["api", "host"] == "0.0.0.0"
    assert options["engine", "health_socket"] == "/x/y.sock"
    assert ("api", "continued") not in options


@pytest.mark.parametrize(
    ("answer", "healthy", "reason"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"status":"ok","checks":{"a":{"status":"ok"}}}', True, "ok (a)"),
        (
            b'HTTP/1.0 503 No\r\n\r\n{"checks":{"a":{"status":"failed","reason":"gone"},"b":{"status":"ok"}}}',
            False,
            "a: gone",
        ),
        (b'HTTP/1.0 503 No\r\n\r\n{"checks":{}}', False, "not healthy"),
        (b"HTTP/1.0 404 No\r\n\r\n<html>", False, "the response is not a health report"),
        (b"HTTP/1.0 200 OK\r\n\r\n[]", False, "the response is not a health report"),
        (b"", False, "the response is not a health report"),
    ],
)
def test_healthcheck_evaluates_responses(answer: bytes, healthy: bool, reason: str) -> None:
    assert healthcheck.evaluate(answer) == (healthy, reason)


@pytest.mark.parametrize(
    ("check", "code", "line"), [(lambda: None, 0, "ok (x)"), (lambda: 1 / 0, 1, "x: ZeroDivisionError")]
)
def test_healthcheck_of_the_engine(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], check: Any, code: int, line: str
) -> None:
    path = tmp_path / "e.sock"
    listener = health.Listener(str(path), health.Health({"x": check}))
    listener.start()
    (tmp_path / "c").write_text(f"[engine]\nhealth_socket = {path}\n")
    try:
        assert healthcheck.main(["engine", "--config-file", str(tmp_path / "c")]) == code
    finally:
        listener.shutdown()
        listener.server_close()
    assert capsys.readouterr().out == f"qinling-engine: {line}\n"


def test_healthcheck_without_a_service(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c").write_text(f"[engine]\nhealth_socket = {tmp_path}/none.sock\n[api]\nport = 1\nhost = ::\n")
    for service in ("engine", "api"):
        assert healthcheck.main([service, "--config-file", str(tmp_path / "c")]) == 1
        assert capsys.readouterr().out.startswith(f"qinling-{service}: no answer: ")
    assert healthcheck.main(["api", "--config-file", str(tmp_path / "missing")]) == 1
    assert healthcheck.main(["else"]) == 1
    monkeypatch.setattr(healthcheck, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        (tmp_path / "c").write_text(f"[api]\nport = {silent.getsockname()[1]}\n")
        assert healthcheck.main(["api", "--config-file", str(tmp_path / "c")]) == 1
    assert "no answer within 0.2 s" in capsys.readouterr().out


def test_healthcheck_of_the_api_over_tcp(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _unused = server.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /healthcheck HTTP/1.0\r\n")
                connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"checks":{"database":{"status":"ok"}}}')

        thread = threading.Thread(target=answer)
        thread.start()
        (tmp_path / "c").write_text(f"[api]\nhost = 0.0.0.0\nport = {server.getsockname()[1]}\n")
        assert healthcheck.main(["api", "--config-file", str(tmp_path / "c")]) == 0
        thread.join()
    assert capsys.readouterr().out == "qinling-api: ok (database)\n"


def test_healthcheck_imports_few_modules() -> None:
    program = "import sys, qinling_kolla.cmd.healthcheck; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"oslo_config", "sqlalchemy", "requests", "http.client", "ssl", "gunicorn", "logging"}
    assert not heavy & set(result.stdout.split())

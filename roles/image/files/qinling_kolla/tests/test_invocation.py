# SPDX-License-Identifier: Apache-2.0
"""The short path of an execution in the engine, and its record in the API."""

import contextlib
import json
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa


@pytest.fixture
def invocation(conf: Any) -> Any:
    from qinling_kolla import invocation

    invocation._paused.clear()
    return invocation


class Engine:
    """An engine for the load check: scaling up uses the next of `answers`."""

    def __init__(self, etcd: Any, *answers: Any) -> None:
        self.etcd, self.answers, self.scaled = etcd, list(answers), 0

    def scaleup_function(self, ctx: Any, function_id: str, version: int, runtime_id: str, count: int = 1) -> str:
        self.scaled += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for name in answer:
            self.etcd.create(f"{function_id}_{version}/worker_{name}", name)
        self.etcd.create(f"{function_id}_{version}/service_url", "http://f")
        return "http://f"


@pytest.fixture
def locks(etcd: Any, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record for each requested lock whether it was acquired; none is if `etcd.held` is set."""
    acquired: list[bool] = []

    @contextlib.contextmanager
    def lock(id: str) -> Iterator[Any]:
        free = not getattr(etcd, "held", False)
        acquired.append(free)
        yield types.SimpleNamespace(is_acquired=lambda: free)

    monkeypatch.setattr(etcd, "lock", lock)
    return acquired


@pytest.fixture
def warm(etcd: Any) -> str:
    """Create a function with one worker."""
    etcd.data = {"f_0/worker_a": "a", "f_0/service_url": "http://f", "f_01/worker_b": "b", "f_1/worker_c": "c"}
    return "f"


def running(db: Any, count: int) -> int:
    for _number in range(count):
        db.create_execution({"function_id": "f", "function_version": 0, "status": "running"})
    return count


def test_registered_workers(invocation: Any, warm: str) -> None:
    assert invocation.registered_workers("f", 0) == (1, "http://f")
    assert invocation.registered_workers("f", 1) == (1, None)
    assert invocation.registered_workers("g", 0) == (0, None)


@pytest.mark.parametrize(("load", "workers", "expected"), [(0, 0, True), (3, 1, False), (4, 1, True), (6, 2, False)])
def test_overloaded(invocation: Any, load: int, workers: int, expected: bool) -> None:
    assert invocation.overloaded(load, workers) is expected


def test_warm_function_acquires_no_lock(invocation: Any, warm: str, etcd: Any, locks: list[bool], db: Any) -> None:
    engine = Engine(etcd)
    assert invocation.address_of(engine, "e", warm, 0, "r", running(db, 3)) == "http://f"
    assert locks == []
    assert engine.scaled == 0


def test_a_function_without_workers_gets_one(invocation: Any, etcd: Any, locks: list[bool], db: Any) -> None:
    engine = Engine(etcd, ["a"])
    assert invocation.address_of(engine, "e", "f", 0, "r", 1) == "http://f"
    assert locks == [True]
    assert engine.scaled == 1


@pytest.mark.parametrize("left", [{"f_0/worker_x": "x"}, {"f_0/service_url": "http://x"}])
def test_leftovers_in_etcd_are_not_workers(
    invocation: Any, etcd: Any, locks: list[bool], db: Any, left: dict[str, str]
) -> None:
    etcd.data = dict(left)
    assert invocation.address_of(Engine(etcd, ["a"]), "e", "f", 0, "r", 1) == "http://f"
    assert etcd.data == {"f_0/worker_a": "a", "f_0/service_url": "http://f"}


def test_waiting_executions_share_the_first_worker(invocation: Any, etcd: Any, locks: list[bool], db: Any) -> None:
    etcd.held = True

    def others() -> None:
        etcd.data = {"f_0/worker_a": "a", "f_0/service_url": "http://f"}
        etcd.held = False

    timer = threading.Timer(0.2, others)
    timer.start()
    engine = Engine(etcd)
    assert invocation.address_of(engine, "e", "f", 0, "r", 1) == "http://f"
    timer.join()
    assert engine.scaled == 0
    assert locks.count(False) >= 1


def test_an_overloaded_function_gets_another_worker(
    invocation: Any, warm: str, etcd: Any, locks: list[bool], db: Any
) -> None:
    engine = Engine(etcd, ["x"], ["y"])
    running(db, 10)
    for expected in (1, 2):
        assert invocation.address_of(engine, "e", warm, 0, "r", 10) == "http://f"
        assert engine.scaled == expected


@pytest.mark.parametrize("nothing", [[], "error"])
def test_overloaded_function_without_free_workers_keeps_its_own(
    invocation: Any, warm: str, etcd: Any, locks: list[bool], db: Any, monkeypatch: pytest.MonkeyPatch, nothing: Any
) -> None:
    from qinling import exceptions

    engine = Engine(etcd, *[exceptions.OrchestratorException("none left") if nothing else [] for _number in range(2)])
    load = running(db, 6)
    for _number in range(3):
        assert invocation.address_of(engine, "e", warm, 0, "r", load) == "http://f"
    assert engine.scaled == 1, "it asks again only after a pause"
    monkeypatch.setattr(invocation, "SCALE_PAUSE_SECONDS", 0)
    invocation._pause((warm, 0))
    assert invocation.address_of(engine, "e", warm, 0, "r", load) == "http://f"
    assert engine.scaled == 2


def test_an_overloaded_function_does_not_wait_for_the_lock(
    invocation: Any, warm: str, etcd: Any, locks: list[bool], db: Any
) -> None:
    etcd.held = True
    engine = Engine(etcd)
    assert invocation.address_of(engine, "e", warm, 0, "r", running(db, 6)) == "http://f"
    assert locks == [False]
    assert engine.scaled == 0


@pytest.mark.parametrize(
    ("code", "version", "expected"),
    [
        ({"source": "package", "md5sum": "abc"}, 0, {"package_md5": "abc"}),
        ({"source": "package", "md5sum": "abc"}, 2, {"package_final": True}),
        ({"source": "package"}, 0, {}),
        ({"source": "swift", "swift": {}, "md5sum": "abc"}, 0, {}),
    ],
)
def test_package_state_for_workers(invocation: Any, code: Any, version: int, expected: Any) -> None:
    assert invocation.package_state(types.SimpleNamespace(code=code), version) == expected


# --- the record


@pytest.fixture
def function(db: Any) -> Any:
    runtime = db.create_runtime({"image": "python:1", "status": "available"})
    code = {"source": "package", "md5sum": "0" * 32}
    return db.create_function({"runtime_id": runtime.id, "code": code, "timeout": 5})


class Rpc:
    """A fake RPC client of the engine."""

    def __init__(self, answer: Callable[[str], None] = lambda execution: None) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def create_execution(
        self, execution_id: str, function_id: str, version: int, runtime_id: Any, input: Any, is_sync: bool
    ) -> None:
        self.calls.append((function_id, version, runtime_id, input, is_sync))
        self.answer(execution_id)


@pytest.fixture
def records(conf: Any) -> Any:
    from qinling_kolla.patches.engine import execution_records

    return execution_records


def test_recording_is_one_transaction(records: Any, function: Any, db: Any) -> None:
    from qinling.db import base

    commits: list[Any] = []

    def committed(connection: Any) -> None:
        commits.append(connection)

    engine = base.get_engine()
    sa.event.listen(engine, "commit", committed)
    try:
        records.record({"input": None}, function.id, 0)
    finally:
        sa.event.remove(engine, "commit", committed)
    assert len(commits) == 1
    found = db.get_function(function.id)
    assert found.count == 1
    assert found.updated_at is not None


@pytest.mark.parametrize(
    ("given", "stored"),
    [('{"a": 1}', {"a": 1}), ("6", {"__function_input": "6"}), ("text", {"__function_input": "text"}), (None, None)],
)
def test_an_execution(records: Any, function: Any, db: Any, given: Any, stored: Any) -> None:
    rpc = Rpc(lambda execution: db.update_execution(execution, {"status": "success", "result": {"output": 1}}))
    execution = records.create_execution(rpc, {"function_id": function.id, "input": given})
    assert execution.status == "success"
    assert execution.input == stored
    assert rpc.calls == [(function.id, 0, function.runtime_id, stored, True)]


def test_a_version_and_an_alias(records: Any, function: Any, db: Any) -> None:
    version = db.increase_function_version(function.id, 0)
    db.create_function_alias(name="live", function_id=function.id, function_version=version.version_number)
    rpc = Rpc()
    execution = records.create_execution(rpc, {"function_alias": "live", "sync": False})
    assert (execution.function_id, execution.function_version, execution.status) == (function.id, 1, "running")
    assert db.get_function_version(function.id, 1).count == 1
    assert db.get_function(function.id).count == 0
    assert rpc.calls == [(function.id, 1, function.runtime_id, None, False)]


def test_refused_execution_leaves_no_record(records: Any, function: Any, db: Any) -> None:
    from qinling import exceptions

    with pytest.raises(exceptions.DBEntityNotFoundError):
        records.create_execution(Rpc(), {"function_id": "missing"})
    with pytest.raises(exceptions.DBEntityNotFoundError):
        records.create_execution(Rpc(), {"function_id": function.id, "function_version": 7})
    db.update_runtime(function.runtime_id, {"status": "upgrading"})
    with pytest.raises(exceptions.RuntimeNotAvailableException):
        records.create_execution(Rpc(), {"function_id": function.id})
    assert db.get_executions() == []
    assert db.get_function(function.id).count == 0


@pytest.mark.parametrize(("threads", "waiting"), [(1, 1), (2, 1), (4, 3), (8, 6), (32, 24)])
def test_number_of_waiting_threads(records: Any, threads: int, waiting: int) -> None:
    assert records.waiting_threads(threads) == waiting


def test_executions_never_occupy_all_threads(
    records: Any, function: Any, db: Any, option: Callable[..., None], call: Callable[..., Any]
) -> None:
    option("api", "api_threads", 2)
    assert records.slots.acquire(1)
    try:
        answer = call("POST", "/v1/executions", {"function_id": function.id})
        assert answer.status_int == 503
        assert "try again" in json.dumps(answer.json)
        assert db.get_executions() == []
        assert call("POST", "/v1/executions", {"function_id": function.id, "sync": False}).status_int == 201
    finally:
        records.slots.release()
    assert call("POST", "/v1/executions", {"function_id": function.id}).status_int == 201


def test_statements_are_compiled_once(db: Any, function: Any) -> None:
    from qinling.db import base

    logged: list[str] = []
    engine = base.get_engine()

    def executed(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        logged.append(context.cache_hit.name)

    db.get_function(function.id)
    sa.event.listen(engine, "before_cursor_execute", executed)
    try:
        db.get_function(function.id)
    finally:
        sa.event.remove(engine, "before_cursor_execute", executed)
    assert "CACHE_HIT" in logged
    assert "NO_CACHE_KEY" not in logged

# SPDX-License-Identifier: Apache-2.0
"""Patches of the engine."""

import datetime
import logging
import threading
import time
import types
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
import requests
from etcd3gw import exceptions as etcd_exc

from qinling_kolla import failures, worker
from qinling_kolla.orchestrator import transport
from qinling_kolla.patches.compat import orchestrator_choice
from qinling_kolla.patches.engine import engine_executions, stuck_executions


class Driver:
    """An orchestrator that counts calls and can fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.fails: dict[str, Exception] = {}
        self.updated = True
        self.before: Callable[[], None] = lambda: None
        self.workers = 0

    def _called(self, *call: str) -> None:
        self.calls.append(call)
        self.before()
        if call[0] in self.fails:
            raise self.fails[call[0]]

    def create_pool(self, name: str, image: str, trusted: bool = True) -> None:
        self._called("create_pool", name, image)

    def delete_pool(self, name: str) -> None:
        self._called("delete_pool", name)

    def update_pool(self, name: str, image: str | None = None) -> bool:
        self._called("update_pool", name, str(image))
        return self.updated

    def scaleup_function(
        self, function_id: str, version: int, identifier: str | None = None, count: int = 1
    ) -> tuple[list[str], str]:
        self._called("scaleup_function", function_id)
        self.workers += 1
        return [f"worker{self.workers}"], f"http://worker{self.workers}"

    def delete_function(self, function_id: str, version: int, labels: Any = None) -> None:
        self._called("delete_function", function_id, str(version))


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def engine(conf: Any, db: Any, etcd: Any, driver: Driver) -> Any:
    from qinling.engine import default_engine

    return default_engine.DefaultEngine(driver, "http://api:7070")


@pytest.fixture
def runtime(db: Any) -> Any:
    return db.create_runtime({"image": "python:1", "status": "creating"})


def test_creating_a_runtime_holds_no_transaction(engine: Any, driver: Driver, runtime: Any, db: Any) -> None:
    from qinling.db import base

    open_sessions = []
    driver.before = lambda: open_sessions.append(base._get_thread_local_session())
    engine.create_runtime(None, runtime.id)
    assert open_sessions == [None]
    assert db.get_runtime(runtime.id).status == "available"


def test_pool_that_cannot_be_created(engine: Any, driver: Driver, runtime: Any, db: Any) -> None:
    driver.fails["create_pool"] = RuntimeError("no image")
    engine.create_runtime(None, runtime.id)
    assert db.get_runtime(runtime.id).status == "error"


def test_runtime_deleted_while_its_pool_is_created(engine: Any, driver: Driver, runtime: Any, db: Any) -> None:
    def delete() -> None:
        driver.before = lambda: None
        db.delete_runtime(runtime.id)

    driver.before = delete
    engine.create_runtime(None, runtime.id)
    assert driver.calls == [("create_pool", runtime.id, "python:1"), ("delete_pool", runtime.id)]


@pytest.mark.parametrize(
    ("updated", "error", "status", "image"),
    [
        (True, None, "available", "python:2"),
        (False, None, "available", "python:1"),
        (True, RuntimeError("gone"), "error", "python:2"),
    ],
)
def test_updating_a_runtime(
    engine: Any, driver: Driver, runtime: Any, db: Any, updated: bool, error: Exception | None, status: str, image: str
) -> None:
    db.update_runtime(runtime.id, {"status": "upgrading", "image": "python:2"})
    driver.updated = updated
    if error:
        driver.fails["update_pool"] = error
    engine.update_runtime(None, runtime.id, image="python:2", pre_image="python:1")
    found = db.get_runtime(runtime.id)
    assert (found.status, found.image) == (status, image)


def test_deleting_a_runtime(engine: Any, driver: Driver, runtime: Any, db: Any) -> None:
    driver.fails["delete_pool"] = RuntimeError("not now")
    engine.delete_runtime(None, runtime.id)
    assert db.get_runtime(runtime.id).status == "error"
    driver.fails.clear()
    engine.delete_runtime(None, runtime.id)
    assert db.get_runtimes() == []


@pytest.fixture
def function(db: Any, runtime: Any) -> Any:
    return db.create_function(
        {
            "runtime_id": runtime.id,
            "code": {"source": "package", "md5sum": "0" * 32},
            "entry": "main.main",
            "cpu": 100,
            "memory_size": 1000,
            "timeout": 5,
        }
    )


@pytest.fixture
def execution(db: Any, function: Any) -> Any:
    return db.create_execution({"function_id": function.id, "function_version": 0, "status": "running"})


@pytest.fixture
def run(engine: Any, ctx: Any, function: Any, execution: Any, db: Any) -> Callable[[], Any]:
    def go() -> Any:
        engine.create_execution(ctx, execution.id, function.id, 0, function.runtime_id, input={"x": 1})
        return db.get_execution(execution.id)

    return go


def reply(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[str]:
    """Fake the results of successive requests to workers; return the list of their URLs."""
    from qinling.engine import utils

    urls: list[str] = []
    left = list(answers)

    def url_request(session: Any, url: str, body: Any = None) -> Any:
        urls.append(url)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(utils, "url_request", url_request)
    return urls


def test_an_execution(run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    urls = reply(monkeypatch, (True, {"output": 7, "duration": 0.1, "logs": "hello", "success": True}))
    found = run()
    assert (found.status, found.result, found.logs) == ("success", {"output": 7, "duration": 0.1}, "hello")
    assert urls == ["http://worker1/execute"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("secret"), "unexpected KeyError in the engine, see its log"),
        (worker.Lost(), "the connection to the function's worker broke during the execution"),
        (etcd_exc.ConnectionFailedError("http://192.0.2.1:2379 refused"), "etcd does not answer"),
    ],
)
def test_any_failure_ends_the_execution_in_error_with_its_reason(
    run: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: str,
) -> None:
    reply(monkeypatch, error)
    found = run()
    text = f"Function execution failed: {reason}."
    assert (found.status, found.result, found.logs) == ("error", {"output": text}, text)
    (record,) = [each for each in caplog.records if "ends in error" in each.getMessage()]
    unforeseen = isinstance(error, KeyError)
    assert (record.levelname, bool(record.exc_info)) == (("ERROR", True) if unforeseen else ("WARNING", False))


def test_a_function_that_fails_is_failed(run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reply(monkeypatch, (True, {"output": "no luck", "success": False, "logs": "why"}))
    found = run()
    assert (found.status, found.result, found.logs) == ("failed", {"output": "no luck"}, "why")


def test_image_function_that_cannot_run_reports_the_reason(engine: Any, driver: Driver, ctx: Any, db: Any) -> None:
    function = db.create_function({"code": {"source": "image", "image": "img:1"}, "timeout": 5})
    execution = db.create_execution({"function_id": function.id, "function_version": 0, "status": "running"})

    def refuse(*_: Any, **__: Any) -> Any:
        raise failures.PlatformError("Cannot create service x on the Swarm at tcp://192.0.2.1:2375", "Docker is away")

    driver.prepare_execution = refuse  # type: ignore[attr-defined]
    engine.create_execution(ctx, execution.id, function.id, 0, None)
    found = db.get_execution(execution.id)
    text = "Function execution failed: Docker is away."
    assert (found.status, found.result, found.logs) == ("error", {"output": text}, text)


def test_driver_that_fails_unexpectedly(run: Callable[[], Any], driver: Driver) -> None:
    driver.fails["scaleup_function"] = ValueError("x")
    assert run().status == "error"


def test_a_lost_worker_is_replaced(
    run: Callable[[], Any], driver: Driver, etcd: Any, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{function.id}_0"
    etcd.data = {f"{key}/worker_old": "old", f"{key}/service_url": "http://old"}
    urls = reply(monkeypatch, worker.Unreachable(), (True, {"output": 1}))
    monkeypatch.setattr(worker, "ping", failing_ping)
    assert run().status == "success"
    assert urls == ["http://old/execute", "http://worker1/execute"]
    assert ("delete_function", function.id, "0") in driver.calls
    assert etcd.data == {f"{key}/worker_worker1": "worker1", f"{key}/service_url": "http://worker1"}


def failing_ping(*_: Any) -> None:
    raise worker.Unreachable()


def test_recovered_worker_is_retained(
    run: Callable[[], Any], driver: Driver, etcd: Any, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{function.id}_0"
    etcd.data = {f"{key}/worker_old": "old", f"{key}/service_url": "http://old"}
    urls = reply(monkeypatch, worker.Unreachable(), (True, {"output": 1}))
    monkeypatch.setattr(worker, "ping", lambda *_: None)
    assert run().status == "success"
    assert urls == ["http://old/execute"] * 2
    assert driver.calls == []


def test_workers_stay_while_the_gateway_is_down(
    run: Callable[[], Any], driver: Driver, etcd: Any, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{function.id}_0"
    etcd.data = {f"{key}/worker_old": "old", f"{key}/service_url": "http://old"}
    reply(monkeypatch, worker.Unreachable())
    session = types.SimpleNamespace(get=lambda *_, **__: raise_(transport.GatewayAway("refused")))
    ping = worker.ping
    monkeypatch.setattr(worker, "ping", lambda _, url, seconds: ping(session, url, 0))  # type: ignore[arg-type]
    found = run()
    text = "Function execution failed: the function gateway does not answer."
    assert (found.status, found.result) == ("error", {"output": text})
    assert driver.calls == []
    assert len(etcd.data) == 2


def raise_(error: Exception) -> Any:
    raise error


def test_no_worker_at_all(run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reply(monkeypatch, worker.Unreachable(), worker.Unreachable())
    monkeypatch.setattr(worker, "ping", failing_ping)
    assert run().status == "error"


@pytest.mark.parametrize("logs", ["x" * 70000, "é" * 40000, "a\x00b", None, ["list"], "\udcff"])
def test_any_log_can_be_saved(run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, logs: Any) -> None:
    reply(monkeypatch, (True, {"output": 1, "logs": logs}))
    found = run()
    assert found.status == "success"
    assert len(found.logs.encode()) <= 65535
    assert "\x00" not in found.logs


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 100, "short"),
        ("", 100, ""),
        ("a" * 60 + "b" * 60, 100, "a" * 38 + "\n[the log was cut here]\n" + "b" * 38),
    ],
)
def test_cut_log(text: str, limit: int, expected: str) -> None:
    assert engine_executions.cut_log(text, limit) == expected


def test_a_database_that_restarts_loses_no_result(
    run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, db: Any
) -> None:
    from oslo_db import exception as db_exc

    reply(monkeypatch, (True, {"output": 1}))
    original, failures = db.conditional_update, [db_exc.DBConnectionError(Exception("down"))]

    def update(*arguments: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return original(*arguments, **more)

    monkeypatch.setattr(db, "conditional_update", update)
    assert run().status == "success"


def test_inputs_are_not_logged(
    engine: Any, ctx: Any, function: Any, execution: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    reply(monkeypatch, (True, {"output": "out-4111", "logs": "log-4111"}))
    with caplog.at_level(logging.DEBUG):
        engine.create_execution(ctx, execution.id, function.id, 0, function.runtime_id, input={"card": "in-4111"})
    assert execution.id in caplog.text
    assert "4111" not in caplog.text


def test_the_driver_mounts_its_transport(conf: Any, driver: Driver) -> None:
    from qinling.engine import default_engine

    mounted: list[requests.Session] = []
    driver.mount = mounted.append  # type: ignore[attr-defined]
    engine = default_engine.DefaultEngine(driver, "http://api:7070")
    assert mounted == [engine.session]


def test_the_engine_uses_this_packages_requests(conf: Any) -> None:
    from qinling.engine import utils

    assert utils.url_request is worker.url_request
    assert utils.get_request_data is worker.get_request_data


NOW = datetime.datetime(2026, 1, 1, 12)


@pytest.mark.parametrize(
    ("age", "timeout", "status", "ended"),
    [
        (10, 5, "running", False),
        (364, 5, "running", False),
        (366, 5, "running", True),
        (366, 300, "running", False),
        (661, 300, "running", True),
        (366, None, "running", False),
        (661, None, "running", True),
        (9999, 5, "success", False),
    ],
)
def test_executions_of_a_lost_engine(
    conf: Any, db: Any, function: Any, age: int, timeout: int | None, status: str, ended: bool
) -> None:
    function_id = None
    if timeout:
        db.update_function(function.id, {"timeout": timeout})
        function_id = function.id
    execution = db.create_execution(
        {"function_id": function_id, "status": status, "created_at": NOW - datetime.timedelta(seconds=age)}
    )
    assert stuck_executions.end_stuck(NOW) == ([execution.id] if ended else [])
    found = db.get_execution(execution.id)
    if ended:
        assert (found.status, found.result["output"]) == (
            "error",
            f"{stuck_executions.LOST}; the function may have run.",
        )
    else:
        assert found.status == status


def test_executions_are_ended_for_every_project_without_a_context(db: Any, ctx: Any) -> None:
    from qinling import context

    execution = db.create_execution({"status": "running", "project_id": "other", "created_at": NOW})
    context.set_ctx(None)
    stuck_executions.handle_stuck_executions()
    context.set_ctx(context.Context(is_admin=True))
    assert db.get_execution(execution.id).status == "error"


def test_engine_checks_at_its_start(conf: Any, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qinling.services import periodics

    looked = threading.Event()
    monkeypatch.setattr(stuck_executions, "end_stuck", lambda now=None: looked.set())
    periodics.start_function_mapping_handler(engine)
    try:
        assert looked.wait(5)
        assert len(periodics._periodic_tasks) == 2
    finally:
        periodics.stop()
    assert periodics._periodic_tasks == {}


def point(name: str, value: str, distribution: str) -> metadata.EntryPoint:
    result = metadata.EntryPoint(name, value, orchestrator_choice.GROUP)
    return result._for(types.SimpleNamespace(name=distribution))  # type: ignore[attr-defined]


OWN = point("kubernetes", "qinling.x:Y", "qinling")
OURS = point("kubernetes", "qinling_kolla.x:Y", "qinling-kolla")


@pytest.mark.parametrize(
    ("candidates", "expected"), [([OWN, OURS], OURS), ([OURS, OWN], OURS), ([OWN], OWN), ([OURS, OURS, OWN], OURS)]
)
def test_selection_of_a_driver(candidates: list[metadata.EntryPoint], expected: metadata.EntryPoint) -> None:
    assert orchestrator_choice.choose("kubernetes", candidates) == expected


@pytest.mark.parametrize(
    ("candidates", "words"),
    [([], "no installed package"), ([OURS, point("kubernetes", "z:Z", "other")], "several packages")],
)
def test_failed_selection_of_a_driver(candidates: list[metadata.EntryPoint], words: str) -> None:
    from qinling import exceptions as exc

    with pytest.raises(exc.OrchestratorException, match=words):
        orchestrator_choice.choose("kubernetes", candidates)


def test_loading_a_driver(conf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qinling import exceptions as exc
    from qinling.orchestrator import base

    class Point:
        value = "m:Driver"
        result: Any = None

        def load(self) -> Any:
            return lambda conf, endpoint: self.result(endpoint)

    result = Point()
    monkeypatch.setattr(base, "ORCHESTRATOR", None)
    monkeypatch.setattr(orchestrator_choice, "choose", lambda name, candidates: result)

    def fail(endpoint: str) -> Any:
        raise OSError("no docker")

    result.result = fail
    with pytest.raises(exc.OrchestratorException, match=r"kubernetes \(m:Driver\): no docker"):
        base.load_orchestrator(conf, "http://api")
    result.result = lambda endpoint: ("driver", endpoint)
    assert base.load_orchestrator(conf, "http://api") == ("driver", "http://api")
    assert base.load_orchestrator(conf, "http://other") == ("driver", "http://api")


def test_reply_is_returned_at_once(conf: Any) -> None:
    from oslo_messaging._drivers import amqpdriver

    waiters = amqpdriver.ReplyWaiters()
    waiters.add("m")
    threading.Timer(0.05, waiters.put, ("m", {"result": 1})).start()
    begin = time.monotonic()
    assert waiters.get("m", timeout=5) == {"result": 1}
    assert time.monotonic() - begin < 0.3


@pytest.mark.parametrize("timeout", [0.1, 0, -1])
def test_missing_reply_times_out(conf: Any, timeout: float) -> None:
    import oslo_messaging
    from oslo_messaging._drivers import amqpdriver

    waiters = amqpdriver.ReplyWaiters()
    waiters.add("m")
    begin = time.monotonic()
    with pytest.raises(oslo_messaging.MessagingTimeout, match="message ID m"):
        waiters.get("m", timeout=timeout)
    assert time.monotonic() - begin < 0.4


def test_time_limit_of_a_synchronous_execution(conf: Any, ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qinling import rpc

    client = rpc.EngineClient(rpc.get_transport())
    seen: dict[str, Any] = {}

    class Prepared:
        def call(self, context: Any, method: str, **arguments: Any) -> None:
            seen.update(method=method, **arguments)

        cast = call

    def prepare(**kwargs: Any) -> Prepared:
        seen.clear()
        seen.update(kwargs)
        return Prepared()

    client._client = types.SimpleNamespace(prepare=prepare)
    client.create_execution("e", "f", 0, "r", input={"x": 1})
    assert seen["timeout"] == 300 + 60 + 300
    assert seen["call_monitor_timeout"] == conf.rpc_response_timeout
    assert (seen["method"], seen["execution_id"], seen["runtime_id"]) == ("create_execution", "e", "r")
    client.create_execution("e", "f", 0, "r", is_sync=False)
    assert "timeout" not in seen
    assert seen["method"] == "create_execution"


def test_tenacity_and_contexts_by_their_old_names(conf: Any) -> None:
    import tenacity
    from qinling import context

    assert tenacity.Retrying(stop=tenacity.stop_after_attempt(1)).call(lambda: 3) == 3
    result = context.Context(user="u", tenant="t")
    assert (result.user, result.tenant, result.user_id, result.project_id) == ("u", "t", "u", "t")


def test_a_context_crosses_the_queue(conf: Any) -> None:
    from qinling import context, rpc

    result = context.Context(user_id="u", project_id="p", auth_token="t", is_admin=True, roles=["r"])
    serializer = rpc.ContextSerializer(None)
    back = serializer.deserialize_context(serializer.serialize_context(result))
    fields = ("user_id", "project_id", "auth_token", "is_admin", "roles", "request_id")
    assert [getattr(back, name) for name in fields] == [getattr(result, name) for name in fields]
    context.set_ctx(None)

# SPDX-License-Identifier: Apache-2.0
"""An execution has one final state, which the first writer sets, and its caller gets that state."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import oslo_messaging
import pytest

from .conftest import Recorder

ABANDONED = "No answer from an engine within 15 s; the function may have run."


@pytest.fixture
def states(conf: Any) -> Any:
    from qinling_kolla import final_states

    return final_states


@pytest.fixture
def function(db: Any, etcd: Any) -> Any:
    """Create a package function with a worker."""
    runtime = db.create_runtime({"image": "python:1", "status": "available"})
    code = {"source": "package", "md5sum": "0" * 32}
    result = db.create_function({"runtime_id": runtime.id, "code": code, "entry": "main.main", "timeout": 5})
    etcd.data = {f"{result.id}_0/worker_w": "w", f"{result.id}_0/service_url": "http://w"}
    return result


class Engine:
    """A real engine whose worker calls `meanwhile` and then returns `answer`."""

    def __init__(self, function: Any, ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from qinling.engine import default_engine, utils

        self.started: list[str] = []
        self.answer: Any = {"output": 7}
        self.meanwhile: Callable[[str], Any] = lambda execution: None
        self._engine = default_engine.DefaultEngine(None, "http://api:7070")
        self._ctx, self._function = ctx, function
        monkeypatch.setattr(utils, "url_request", self._url_request)

    def _url_request(self, session: Any, url: str, body: Any) -> tuple[bool, Any]:
        self.started.append(body["execution_id"])
        self.meanwhile(body["execution_id"])
        if isinstance(self.answer, Exception):
            raise self.answer
        return True, dict(self.answer)

    def receive(self, execution: str) -> None:
        """Handle a message from the queue."""
        function = self._function
        self._engine.create_execution(self._ctx, execution, function.id, 0, function.runtime_id, input=None)


@pytest.fixture
def engine(function: Any, ctx: Any, monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(function, ctx, monkeypatch)


@pytest.fixture
def running(db: Any, function: Any) -> str:
    """Return the ID of a running execution."""
    values = {"function_id": function.id, "function_version": 0, "status": "running"}
    return str(db.create_execution(values).id)


def state(db: Any, execution: str) -> tuple[str, Any]:
    found = db.get_execution(execution)
    return found.status, (found.result or {}).get("output")


class Queue:
    """A fake queue: delivers with `deliver`, then raises `error` unless it is None."""

    def __init__(self, deliver: Callable[[str], None], error: Exception | None) -> None:
        self.deliver, self.error = deliver, error

    def prepare(self, **_: Any) -> "Queue":
        return self

    def call(self, _context: Any, _method: str, execution_id: str, **_: Any) -> None:
        self.deliver(execution_id)
        if self.error:
            raise self.error

    cast = call


@pytest.fixture
def execute(function: Any, conf: Any) -> Callable[..., Any]:
    """Execute the function through the API's code and a fake queue."""
    from qinling import rpc
    from qinling.utils import executions

    def go(deliver: Callable[[str], None], error: Exception | None = None, sync: bool = True) -> Any:
        client = rpc.EngineClient(rpc.get_transport())
        client._client = Queue(deliver, error)
        return executions.create_execution(client, {"function_id": function.id, "sync": sync})

    return go


TIMEOUT = oslo_messaging.MessagingTimeout("Timed out waiting for a reply to message ID 1")


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TIMEOUT, "No answer from an engine within 0 s; the function may have run."),
        (oslo_messaging.RemoteError("ValueError", "secret"), "The engine failed; the function may have run."),
        (
            oslo_messaging.MessageDeliveryFailure("amqp://secret"),
            "The message queue did not accept the request; the function may have run.",
        ),
        (OSError(), "The message queue did not accept the request; the function may have run."),
    ],
)
def test_response_to_a_caller_stays_true(
    execute: Callable[..., Any], engine: Engine, db: Any, error: Exception, expected: str, sync: bool
) -> None:
    answer = execute(lambda execution: None, error, sync)
    assert (answer.status, answer.result) == ("error", {"output": expected})
    # The queue delivers it later, possibly more than once.
    engine.receive(answer.id)
    engine.receive(answer.id)
    assert engine.started == []
    assert state(db, answer.id) == ("error", expected)


@pytest.mark.parametrize(("source", "moment"), [("image", "queue"), ("package", "worker"), ("package", "token")])
def test_abandoned_execution_is_not_started(
    engine: Engine, running: str, states: Any, db: Any, monkeypatch: pytest.MonkeyPatch, source: str, moment: str
) -> None:
    from qinling.db.sqlalchemy import models
    from qinling.engine import utils

    from qinling_kolla import invocation
    from qinling_kolla.patches.engine import engine_executions

    db.conditional_update(models.Function, {"code": {"source": source}}, {}, insecure=True)
    monkeypatch.setattr(
        engine_executions, "_original_create_execution", lambda *_, **__: engine.started.append("image")
    )

    def then_give_up(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            assert states.abandon(running, "No answer from an engine within 15 s")
            return function(*args)

        return wrapped

    if moment == "queue":
        states.abandon(running, "No answer from an engine within 15 s")
    elif moment == "worker":
        monkeypatch.setattr(invocation, "address_of", then_give_up(invocation.address_of))
    else:
        monkeypatch.setattr(utils, "get_request_data", then_give_up(utils.get_request_data))
    engine.receive(running)
    assert engine.started == []
    assert state(db, running) == ("error", ABANDONED)


def test_execution_abandoned_while_it_runs(execute: Callable[..., Any], engine: Engine, db: Any) -> None:
    returned = []
    engine.meanwhile = lambda execution: returned.append(final(execution))

    def final(execution: str) -> tuple[str, Any]:
        from qinling_kolla import final_states

        assert final_states.abandon(execution, "No answer from an engine within 15 s")
        return state(db, execution)

    answered = execute(engine.receive)
    assert returned == [("error", ABANDONED)]
    assert (answered.status, answered.result) == ("error", {"output": ABANDONED})


@pytest.mark.parametrize("answer", [{"output": 7}, ValueError("x")])
def test_end_recorded_by_the_engine_is_returned(
    execute: Callable[..., Any], engine: Engine, db: Any, answer: Any
) -> None:
    """The call fails although the engine has recorded an end: the caller gets this end."""
    engine.answer = answer
    returned = execute(engine.receive, TIMEOUT)
    assert returned.status == ("error" if isinstance(answer, Exception) else "success")
    assert "may have run" not in str(returned.result)
    assert state(db, returned.id) == (returned.status, returned.result["output"])


def test_end_by_age_is_final(engine: Engine, running: str, db: Any) -> None:
    from qinling_kolla.patches.engine import stuck_executions

    later = datetime.datetime(2999, 1, 1)
    engine.meanwhile = lambda _: stuck_executions.end_stuck(later)
    engine.receive(running)
    found = state(db, running)
    assert found == ("error", f"{stuck_executions.LOST}; the function may have run.")
    engine.receive(running)
    assert (engine.started, state(db, running)) == ([running], found)


def test_one_of_many_writers_wins(states: Any, running: str, db: Any) -> None:
    wins: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        if states.end(running, {"status": "success", "result": {"output": number}}):
            wins.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state(db, running)] == [("success", number) for number in wins]


def test_execution_without_a_record_is_neither_ended_nor_refused(
    states: Any, engine: Engine, running: str, db: Any
) -> None:
    assert not states.ended(running)
    db.delete_execution(running)
    assert not states.ended(running)
    assert not states.end(running, {"status": "success"})
    engine.receive(running)
    assert db.get_executions() == []


def test_log_of_an_abandoned_execution_has_the_reason(states: Any, running: str, db: Any) -> None:
    assert states.abandon(running, "No answer from an engine within 15 s")
    assert db.get_execution(running).logs == ABANDONED


def test_ended_execution_has_a_time(states: Any, running: str, db: Any) -> None:
    assert db.get_execution(running).updated_at is None
    assert states.abandon(running, "x")
    assert db.get_execution(running).updated_at is not None


def test_api_returns_the_reason(call: Callable[..., Any], function: Any, engine_client: Recorder) -> None:
    from qinling_kolla.patches.engine import execution_rpc

    def fail(*_: Any, **__: Any) -> None:
        raise execution_rpc.NotExecuted("No answer from an engine within 15 s")

    engine_client.create_execution = fail  # type: ignore[attr-defined]
    returned = call("POST", "/v1/executions", {"function_id": function.id}).json
    assert (returned["status"], ABANDONED in returned["result"]) == ("error", True)
    assert call("GET", f"/v1/executions/{returned['id']}").json["result"] == returned["result"]

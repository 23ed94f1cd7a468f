# SPDX-License-Identifier: Apache-2.0
"""Patches of the job handler and other periodic tasks."""

import datetime
import types
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Recorder

DUE = datetime.datetime(2026, 1, 1, 12)


@pytest.fixture
def function(db: Any) -> Any:
    return db.create_function({"code": {"source": "image", "image": "alpine"}, "timeout": 5})


@pytest.fixture
def make_job(db: Any) -> Callable[..., Any]:
    def make(**values: Any) -> Any:
        return db.create_job({"status": "running", "next_execution_time": DUE, "function_version": 0, **values})

    return make


@pytest.fixture
def handle(db: Any, ctx: Any) -> Callable[[], list[str]]:
    """Run one round; return the started functions."""
    from qinling import context
    from qinling.services import periodics

    def go() -> list[str]:
        client = Recorder()
        context.set_ctx(None)
        periodics.handle_job(client)
        assert not context.has_ctx()
        context.set_ctx(ctx)
        return [args[1] for args, _unused in client.named("create_execution")]

    return go


def test_a_recurring_job(handle: Callable[[], list[str]], make_job: Callable[..., Any], function: Any, db: Any) -> None:
    job = make_job(function_id=function.id, pattern="0 * * * *", count=2, function_input='{"a": 1}')
    assert handle() == [function.id]
    found = db.get_job(job.id)
    assert (found.count, found.next_execution_time) == (1, DUE + datetime.timedelta(hours=1))
    execution = db.get_executions()[0]
    assert (execution.input, execution.sync, job.id in execution.description) == ({"a": 1}, False, True)
    assert handle() == [function.id]
    found = db.get_job(job.id)
    assert (found.count, found.status) == (0, "done")
    assert handle() == []


def test_a_job_without_end(
    handle: Callable[[], list[str]], make_job: Callable[..., Any], function: Any, db: Any
) -> None:
    job = make_job(function_id=function.id, pattern="0 * * * *")
    assert handle() == [function.id]
    assert (db.get_job(job.id).count, db.get_job(job.id).status) == (None, "running")


def test_context_of_a_jobs_owner_is_dropped(
    handle: Callable[[], list[str]], make_job: Callable[..., Any], function: Any
) -> None:
    from oslo_context.context import get_current

    make_job(function_id=function.id, count=1)
    assert handle() == [function.id]
    assert get_current() is None


def test_a_single_job(handle: Callable[[], list[str]], make_job: Callable[..., Any], function: Any, db: Any) -> None:
    job = make_job(function_id=function.id, count=1)
    assert handle() == [function.id]
    assert db.get_job(job.id).status == "done"


def test_a_job_by_an_alias(
    handle: Callable[[], list[str]], make_job: Callable[..., Any], function: Any, db: Any
) -> None:
    db.create_function_alias(name="a", function_id=function.id, function_version=None)
    make_job(function_alias="a", pattern="0 * * * *")
    assert handle() == [function.id]


def test_jobs_that_are_not_due(handle: Callable[[], list[str]], make_job: Callable[..., Any], function: Any) -> None:
    make_job(function_id=function.id, pattern="0 * * * *", next_execution_time=datetime.datetime(2999, 1, 1))
    make_job(function_id=function.id, pattern="0 * * * *", status="paused")
    assert handle() == []


@pytest.mark.parametrize(
    ("kind", "status", "next_time"),
    [({"pattern": "0 * * * *"}, "running", DUE + datetime.timedelta(hours=1)), ({"count": 1}, "done", DUE)],
)
def test_job_without_its_function_does_not_block_others(
    handle: Callable[[], list[str]],
    make_job: Callable[..., Any],
    function: Any,
    db: Any,
    kind: dict[str, Any],
    status: str,
    next_time: datetime.datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = make_job(function_alias="gone", **kind)
    make_job(function_id=function.id, count=1, next_execution_time=DUE + datetime.timedelta(seconds=1))
    assert handle() == [function.id]
    found = db.get_job(broken.id)
    assert (found.status, found.next_execution_time) == (status, next_time)
    assert f"Job {broken.id} did not run" in caplog.text


def test_job_is_retried_while_keystone_is_down(
    handle: Callable[[], list[str]],
    make_job: Callable[..., Any],
    function: Any,
    db: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qinling.utils.openstack import keystone

    with monkeypatch.context() as away:
        away.setattr(keystone, "create_trust_context", lambda *_unused: 1 / 0)
        make_job(function_id=function.id, count=1)
        assert handle() == []
    assert handle() == [function.id]


def test_a_job_is_run_by_one_process(make_job: Callable[..., Any], function: Any, db: Any) -> None:
    from qinling_kolla.patches.engine import job_handler

    job = make_job(function_id=function.id, pattern="0 * * * *", count=5)
    assert job_handler.claim(job)
    assert not job_handler.claim(job)
    assert db.get_job(job.id).count == 4


def test_stopping_periodic_tasks(conf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qinling.services import periodics

    stopped: list[str] = []
    tasks = {name: types.SimpleNamespace(stop=lambda name=name: stopped.append(name)) for name in ("a", "b", "c")}
    monkeypatch.setattr(periodics, "_periodic_tasks", tasks)
    periodics.stop("b")
    periodics.stop("none")
    assert (stopped, sorted(tasks)) == (["b"], ["a", "c"])
    periodics.stop()
    assert (sorted(stopped), tasks) == (["a", "b", "c"], {})

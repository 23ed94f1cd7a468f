# SPDX-License-Identifier: Apache-2.0
"""Reclaiming: which function loses its workers, and that no running function does."""

import datetime
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from qinling_kolla import invocation, reclaim

A, B, C = ("a", 0), ("b", 0), ("b", 12)
RUNTIME = "r"


def at(minute: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, 1, 0, minute)


@pytest.mark.parametrize(
    ("holders", "running", "used", "expected"),
    [
        ([], [], {}, []),
        ([A, B, C], [], {A: at(3), B: at(1), C: at(2)}, [B, C, A]),
        ([A, B, C], [B], {A: at(3), B: at(1), C: at(2)}, [C, A]),
        ([A, B], [A, B], {A: at(3), B: at(1)}, []),
        # No longer in the database.
        ([A, B, C], [], {A: at(3), B: at(1)}, [C, B, A]),
        # Running, but without a worker.
        ([A], [B], {A: at(3), B: at(1)}, [A]),
    ],
)
def test_victims(holders: Any, running: Any, used: Any, expected: Any) -> None:
    assert reclaim.victims(holders, running, used) == expected


@pytest.mark.parametrize(
    ("total", "in_use", "requested", "free", "expected"),
    [
        (3, 3, 1, 0, "no free worker for runtime r: 3 of 3 in use"),
        (3, 1, 1, 0, "no free worker for runtime r: 1 of 3 in use, 2 not running"),
        (3, 2, 2, 1, "only 1 of 2 requested workers are free for runtime r: 2 of 3 in use"),
        (0, 0, 1, 0, "no free worker for runtime r: 0 of 0 in use"),
    ],
)
def test_shortage(total: int, in_use: int, requested: int, free: int, expected: str) -> None:
    assert reclaim.shortage("r", total, in_use, requested, free) == expected


@pytest.mark.parametrize(
    ("seen", "until"),
    [
        # (second, functions with workers); all stay busy.
        ([(0, [A]), (10, [A])], 20),
        # A worker changes its function at 15 s, which extends the wait.
        ([(0, [A]), (15, [B])], 35),
        ([(0, [A]), (15, [])], 35),
        # The total limit ends the wait.
        ([(second, [A] if second % 2 else [B]) for second in range(119)], 120),
    ],
)
def test_patience(seen: list[tuple[int, Any]], until: int) -> None:
    patience = reclaim.Patience(1000.0)
    for second, holders in seen:
        assert not patience.exhausted(1000.0 + second, holders)
    last = seen[-1][1]
    assert not patience.exhausted(1000.0 + until - 0.1, last)
    assert patience.exhausted(1000.0 + until, last)


def test_reclaimed_worker_extends_patience() -> None:
    patience = reclaim.Patience(1000.0)
    patience.renew(1015.0)
    assert not patience.exhausted(1034.9, [A])
    assert patience.exhausted(1035.0, [A])


class Lock:
    """A fake lock of etcd, acquired without waiting."""

    def __init__(self, held: set[str], name: str, guard: threading.Lock) -> None:
        self._held, self._name, self._guard, self._mine = held, name, guard, False

    def __enter__(self) -> "Lock":
        with self._guard:
            self._mine = self._name not in self._held
            self._held.add(self._name)
        return self

    def __exit__(self, *_unused: object) -> None:
        with self._guard:
            if self._mine:
                self._held.discard(self._name)

    def is_acquired(self) -> bool:
        return self._mine


@pytest.fixture
def held(etcd: Any, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of held locks."""
    names: set[str] = set()
    guard = threading.Lock()
    monkeypatch.setattr(etcd, "lock", lambda id: Lock(names, id, guard))
    return names


class Pool:
    """An orchestrator with a number of workers that records functions stopped while they run."""

    def __init__(self, size: int) -> None:
        self.size, self.guard, self.number = size, threading.Lock(), 0
        # Workers that do not start, and whether replacements of removed workers start.
        self.down, self.replaced = 0, True
        self.workers: dict[str, tuple[str, int]] = {}
        self.running: list[tuple[str, int]] = []
        self.stopped: list[tuple[str, int]] = []
        self.deleted: list[tuple[str, int]] = []
        self.broken = False

    def holders(self, runtime_id: str) -> set[tuple[str, int]]:
        with self.guard:
            return set(self.workers.values())

    def scaleup_function(
        self, function_id: str, version: int, identifier: str | None = None, count: int = 1
    ) -> tuple[list[str], str]:
        with self.guard:
            if len(self.workers) >= self.size:
                raise reclaim.NoFreeWorker(str(identifier), self.size + self.down, len(self.workers))
            self.number += 1
            self.workers[f"w{self.number}"] = (function_id, version)
            return [f"w{self.number}"], f"pool://{function_id}/{version}"

    def delete_function(self, function_id: str, function_version: int = 0) -> None:
        if self.broken:
            raise RuntimeError("Docker is away")
        key = (function_id, function_version)
        with self.guard:
            self.deleted.append(key)
            self.stopped += [each for each in self.running if each == key]
            kept = {name: owner for name, owner in self.workers.items() if owner != key}
            if not self.replaced:
                lost = len(self.workers) - len(kept)
                self.size, self.down = self.size - lost, self.down + lost
            self.workers = kept


@pytest.fixture
def pool() -> Pool:
    return Pool(2)


@pytest.fixture
def engine(conf: Any, db: Any, held: set[str], pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Any:
    from qinling.engine import default_engine

    monkeypatch.setattr(invocation, "LOCK_PAUSE", (0.001, 0.005))
    monkeypatch.setattr(invocation, "WORKER_PAUSE", (0.005, 0.01))
    monkeypatch.setattr(reclaim, "BUSY_SECONDS", 0.3)
    invocation._waiting.cache_clear()
    return default_engine.DefaultEngine(pool, "http://api:7070")


@pytest.fixture
def function(db: Any) -> Callable[[int], str]:
    """Create functions with a minute of their last use."""
    from qinling.db import base
    from qinling.db.sqlalchemy import models

    def make(minute: int) -> str:
        function_id = db.create_function({"code": {"source": "package"}, "timeout": 5}).id
        with base.get_engine().begin() as connection:
            table = models.Function.__table__
            connection.execute(table.update().where(table.c.id == function_id).values(updated_at=at(minute)))
        return str(function_id)

    return make


def execute(db: Any, function_id: str, version: int = 0) -> Any:
    return db.create_execution({"function_id": function_id, "function_version": version, "status": "running"})


def finish(db: Any, execution: Any) -> None:
    db.update_execution(execution.id, {"status": "success"})


def start(engine: Any, db: Any, function_id: str, version: int = 0) -> Any:
    """Start an execution like API and engine, and return it once its function has an address."""
    execution = execute(db, function_id, version)
    address = invocation.address_of(engine, execution.id, function_id, version, RUNTIME, 1)
    assert address == f"pool://{function_id}/{version}"
    return execution


def test_least_recently_used_function_loses_its_worker(
    engine: Any, db: Any, pool: Pool, function: Any, etcd: Any
) -> None:
    recent, old, new = function(30), function(10), function(40)
    for each in (recent, old):
        finish(db, start(engine, db, each))
    start(engine, db, new)
    assert pool.deleted == [(old, 0)]
    assert pool.holders(RUNTIME) == {(recent, 0), (new, 0)}
    assert not [key for key in etcd.data if key.startswith(old)]


def test_version_loses_its_worker_without_other_versions(
    engine: Any, db: Any, pool: Pool, function: Any, etcd: Any
) -> None:
    old, new = function(10), function(40)
    for version in range(10):
        db.increase_function_version(old, version)
    start(engine, db, old, 10)
    finish(db, start(engine, db, old, 1))
    start(engine, db, new)
    assert pool.deleted == [(old, 1)]
    assert etcd.get(f"{old}_10/service_url")
    assert not etcd.get(f"{old}_1/service_url")


def test_functions_that_run_keep_their_workers(engine: Any, db: Any, pool: Pool, function: Any, etcd: Any) -> None:
    for minute in (10, 20):
        start(engine, db, function(minute))
    before = dict(etcd.data)
    begin = time.monotonic()
    with pytest.raises(reclaim.NoFreeWorker, match=r"^no free worker for runtime r: 2 of 2 in use$"):
        start(engine, db, function(30))
    assert time.monotonic() - begin >= 0.3, "it waits until they are busy for that long"
    assert pool.deleted == []
    assert etcd.data == before


def test_only_one_function_loses_its_worker_if_workers_do_not_start(
    engine: Any, db: Any, pool: Pool, function: Any, etcd: Any
) -> None:
    """Replacements may start if only a node is lost; if none starts, no other function loses its worker."""
    for minute in (10, 20):
        finish(db, start(engine, db, function(minute)))
    pool.down = 1
    finish(db, start(engine, db, function(30)))
    assert len(pool.deleted) == 1
    pool.replaced = False
    with pytest.raises(reclaim.NoFreeWorker, match=r"^no free worker for runtime r: 1 of 3 in use, 2 not running$"):
        start(engine, db, function(40))
    assert len(pool.deleted) == 2


def test_function_waits_for_another_to_end(engine: Any, db: Any, pool: Pool, function: Any, ctx: Any) -> None:
    from qinling import context

    busy = [start(engine, db, function(minute)) for minute in (10, 20)]

    def end() -> None:
        context.set_ctx(ctx)
        finish(db, busy[1])

    timer = threading.Timer(0.1, end)
    timer.start()
    start(engine, db, function(30))
    timer.join()
    assert pool.deleted == [(busy[1].function_id, 0)]


def test_abandoned_execution_stops_waiting(engine: Any, db: Any, pool: Pool, function: Any, ctx: Any) -> None:
    from qinling import context

    from qinling_kolla import final_states

    for minute in (10, 20):
        start(engine, db, function(minute))
    waiting = execute(db, function(30))

    def give_up() -> None:
        context.set_ctx(ctx)
        final_states.abandon(waiting.id, "No answer from an engine within 15 s")

    timer = threading.Timer(0.05, give_up)
    timer.start()
    with pytest.raises(final_states.Ended):
        invocation.address_of(engine, waiting.id, waiting.function_id, 0, RUNTIME, 1)
    timer.join()
    assert pool.deleted == []


def test_scaling_up_reclaims_nothing(engine: Any, db: Any, pool: Pool, function: Any) -> None:
    idle, loaded = function(10), function(20)
    finish(db, start(engine, db, idle))
    start(engine, db, loaded)
    for _number in range(9):
        execution = execute(db, loaded)
    assert invocation.address_of(engine, execution.id, loaded, 0, RUNTIME, 10) == f"pool://{loaded}/0"
    assert pool.deleted == []


def test_burst_of_one_function_reclaims_once(
    conf: Any, engine: Any, db: Any, pool: Pool, function: Any, ctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qinling import context
    from qinling.engine import default_engine

    for minute in (10, 20):
        finish(db, start(engine, db, function(minute)))
    new = function(30)
    burst = [execute(db, new).id for _number in range(4)]
    delete = pool.delete_function

    def slow(function_id: str, function_version: int = 0) -> None:
        time.sleep(0.2)
        delete(function_id, function_version)

    monkeypatch.setattr(pool, "delete_function", slow)
    addresses: list[str] = []

    def call(number: int) -> None:
        context.set_ctx(ctx)
        mine = (engine, default_engine.DefaultEngine(pool, "http://api:7070"))[number % 2]
        addresses.append(invocation.address_of(mine, burst[number], new, 0, RUNTIME, 1))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert addresses == [f"pool://{new}/0"] * 4
    assert len(pool.deleted) == 1


def test_reclaiming_does_not_wait_for_a_lock(engine: Any, db: Any, pool: Pool, function: Any, held: set[str]) -> None:
    old, older = function(20), function(10)
    for each in (old, older):
        finish(db, start(engine, db, each))
    held.add(f"function_worker_{older}_0")
    start(engine, db, function(30))
    assert pool.deleted == [(old, 0)]


def test_concurrent_execution_keeps_its_worker(
    engine: Any, db: Any, pool: Pool, function: Any, etcd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the address before its deletion, and the second check sees its record."""
    old, other = function(10), function(20)
    for each in (old, other):
        finish(db, start(engine, db, each))
    delete = etcd.delete_prefix

    def begins(prefix: str) -> None:
        if prefix == f"{old}_0/":
            execute(db, old)
        delete(prefix)

    monkeypatch.setattr(etcd, "delete_prefix", begins)
    start(engine, db, function(30))
    assert pool.deleted == [(other, 0)]
    assert invocation.registered_workers(old, 0) == (1, f"pool://{old}/0")


def test_an_orchestrator_that_fails_leaves_the_address(
    engine: Any, db: Any, pool: Pool, function: Any, held: set[str]
) -> None:
    old = function(10)
    for each in (old, function(20)):
        finish(db, start(engine, db, each))
    pool.broken = True
    with pytest.raises(RuntimeError):
        start(engine, db, function(30))
    assert invocation.registered_workers(old, 0) == (1, f"pool://{old}/0")
    assert held == set()


@pytest.mark.parametrize("left", ["worker_lost", "service_url"])
def test_leftovers_of_an_interrupted_engine_are_not_workers(
    engine: Any, db: Any, pool: Pool, function: Any, etcd: Any, left: str
) -> None:
    old, halfway = function(10), function(20)
    for each in (old, function(30)):
        finish(db, start(engine, db, each))
    etcd.create(f"{halfway}_0/{left}", "lost")
    start(engine, db, halfway)
    assert pool.deleted == [(old, 0)]
    assert invocation.registered_workers(halfway, 0) == (1, f"pool://{halfway}/0")
    assert "lost" not in etcd.data.values()


def test_a_lock_that_expires_during_the_removal(
    engine: Any, db: Any, pool: Pool, function: Any, etcd: Any, held: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The victim is called again before the reclaiming engine continues, and keeps its new worker."""
    old = function(10)
    for each in (old, function(20)):
        finish(db, start(engine, db, each))
    delete = pool.delete_function

    def slow(function_id: str, function_version: int = 0) -> None:
        delete(function_id, function_version)
        held.discard(f"function_worker_{old}_0")
        start(engine, db, old)

    monkeypatch.setattr(pool, "delete_function", slow)
    assert reclaim.reclaim(pool, pool.holders(RUNTIME)) == (old, 0)
    assert (old, 0) in pool.holders(RUNTIME)
    assert invocation.registered_workers(old, 0) == (1, f"pool://{old}/0")


def test_waiting_leaves_half_of_the_threads(
    engine: Any, db: Any, pool: Pool, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in (10, 20):
        start(engine, db, function(minute))
    slots = threading.BoundedSemaphore(1)
    slots.acquire()
    monkeypatch.setattr(invocation, "_waiting", lambda: slots)
    monkeypatch.setattr(reclaim, "BUSY_SECONDS", 60)
    begin = time.monotonic()
    with pytest.raises(reclaim.NoFreeWorker):
        start(engine, db, function(30))
    assert time.monotonic() - begin < 30


def test_many_functions_and_engines_on_few_workers(
    conf: Any, db: Any, ctx: Any, pool: Pool, engine: Any, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No execution fails, no running function is stopped, and no deadlock occurs."""
    from qinling import context
    from qinling.engine import default_engine

    monkeypatch.setattr(reclaim, "BUSY_SECONDS", 20)
    engines = [engine, default_engine.DefaultEngine(pool, "http://api:7070")]
    functions = [function(minute) for minute in range(6)]
    database = threading.Lock()
    problems: list[BaseException] = []
    done: list[str] = []

    def client(number: int) -> None:
        context.set_ctx(ctx)
        dice = random.Random(number)
        try:
            for _number in range(5):
                mine = dice.choice(functions)
                # SQLite has one writer.
                with database:
                    execution = execute(db, mine)
                invocation.address_of(dice.choice(engines), execution.id, mine, 0, RUNTIME, 1)
                with pool.guard:
                    assert (mine, 0) in pool.workers.values()
                    pool.running.append((mine, 0))
                time.sleep(dice.uniform(0, 0.01))
                with pool.guard:
                    pool.running.remove((mine, 0))
                with database:
                    finish(db, execution)
                done.append(mine)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert pool.stopped == []
    assert len(done) == 40
    assert len(pool.deleted) > 0

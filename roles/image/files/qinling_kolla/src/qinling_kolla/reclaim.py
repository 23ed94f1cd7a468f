# SPDX-License-Identifier: Apache-2.0
"""Which worker a function gets when its runtime has no free one: the policy that both orchestrators share.

A worker belongs to one function version until the function expires, so a runtime with N workers would serve N functions
and fail the next. A function that needs its first worker therefore takes the place of the one that ran least recently
among those that run nothing now. No worker is handed over: the victim's workers are removed with all that the function
left in them, and fresh ones start in their place. While workers of the pool do not start, as where a node is lost or an
image is away, a function that needs one reclaims once at most.

Why no function loses a worker while it runs, with any number of engines and threads:

- The API records an execution as running before an engine hears of it, and the engine reads the function's address in
  etcd after that.
- Reclaiming holds the victim's lock, sees that nothing runs, deletes what etcd knows of its workers, and then checks
  for running executions once more. An execution that read the address before is seen by then, and etcd's keys are put
  back; one that comes later finds no address and waits for the lock to get a worker of its own.
- An engine that is killed halfway leaves workers that etcd does not know. The function's next execution registers
  them, or gets others where they are gone.
- The limit is etcd's lock, which expires after 30 s: an engine that stops for longer between the second check and the
  removal may remove a worker that was registered meanwhile, and the execution there ends in the status error. Where
  only the removal takes longer, nothing is lost, as etcd's keys are not touched after it.
- The victim's lock is only tried, never waited for: functions that reclaim from each other do not wait for each other.
  The function that needs a worker holds its own lock, so that it reclaims once, however many executions it begins with.
"""

import datetime
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from oslo_log import log as logging
from oslo_utils import encodeutils
from qinling import status
from qinling.db import base as db_base
from qinling.db.sqlalchemy import models
from qinling.utils import etcd_util

from qinling_kolla import failures

LOG = logging.getLogger(__name__)

# A function gives up when no worker of its runtime has changed hands for this long: they are busy then, not just many
# functions taking turns. It is what starting a worker may take (CLAIM_SECONDS of both orchestrators), so that a fresh
# one is never given up on before it runs.
BUSY_SECONDS = 20
# However long the queue is: a waiting function holds a thread of the engine, and its caller waits.
WAIT_SECONDS = 120

FunctionVersion = tuple[str, int]


class NoFreeWorker(failures.PlatformError):
    """All workers of a runtime serve other functions, or do not run."""

    def __init__(self, runtime_id: str, total: int, in_use: int, wanted: int = 1, free: int = 0, details: str = ""):
        """Count a runtime's workers.

        Args:
            runtime_id: the runtime.
            total: the workers that it has or should have.
            in_use: how many of them belong to functions.
            wanted: how many were wanted.
            free: how many were free, less than ``wanted``.
            details: why others do not run, for the log only.
        """
        self.free = free
        self.all_in_use = total == in_use
        # Whose workers were removed to make room.
        self.reclaimed: FunctionVersion | None = None
        text = shortage(runtime_id, total, in_use, wanted, free)
        super().__init__(f"{text} ({details})" if details else text, text)


def shortage(runtime_id: str, total: int, in_use: int, wanted: int = 1, free: int = 0) -> str:
    """Return one line on a runtime whose workers do not suffice."""
    head = f"only {free} of {wanted} workers wanted are free" if free else "no free worker"
    stopped = total - in_use - free
    return f"{head} for runtime {runtime_id}: {in_use} of {total} in use" + (
        f", {stopped} not running" if stopped > 0 else ""
    )


class Orchestrator(Protocol):
    """What both drivers offer for this."""

    def holders(self, runtime_id: str) -> set[FunctionVersion]: ...

    def delete_function(self, function_id: str, function_version: int = 0) -> None: ...


class Patience:
    """How long a function waits for its first worker; its methods take the time from a monotonic clock."""

    def __init__(self, now: float) -> None:
        """Begin to wait."""
        self._end = now + WAIT_SECONDS
        self._busy_until = now + BUSY_SECONDS
        self._seen: frozenset[FunctionVersion] | None = None

    def exhausted(self, now: float, holders: Collection[FunctionVersion]) -> bool:
        """Tell whether to give up, from which function versions have workers now."""
        seen = frozenset(holders)
        if self._seen is not None and seen != self._seen:
            self.renew(now)
        self._seen = seen
        return now >= min(self._end, self._busy_until)

    def renew(self, now: float) -> None:
        """Note that a worker has become free."""
        self._busy_until = now + BUSY_SECONDS


def victims(
    holders: Collection[FunctionVersion],
    running: Collection[FunctionVersion],
    used: Mapping[FunctionVersion, datetime.datetime],
) -> list[FunctionVersion]:
    """Return the function versions that may lose their workers, the one used least recently first.

    Args:
        holders: the function versions that have workers.
        running: those with executions running.
        used: when each was used last; one without is no longer in the database and comes first.
    """
    idle = set(holders) - set(running)
    return sorted(idle, key=lambda each: (used.get(each, datetime.datetime.min), each))


@db_base.session_aware()
def running_of(holders: Collection[FunctionVersion], session: Any = None) -> set[FunctionVersion]:
    """Return those of the function versions that have executions running, from a transaction of its own."""
    table = models.Execution
    rows = (
        session.query(table.function_id, table.function_version)
        .filter(table.status == status.RUNNING, table.function_id.in_({function_id for function_id, _ in holders}))
        .distinct()
    )
    return {(row.function_id, row.function_version or 0) for row in rows} & set(holders)


@db_base.session_aware()
def last_used(holders: Collection[FunctionVersion], session: Any = None) -> dict[FunctionVersion, datetime.datetime]:
    """Return when each function version was used last, as far as the database knows it.

    Counting an execution updates the row of the function or its version; function_service_expiration goes by it, too.
    """
    ids = {function_id for function_id, _ in holders}
    functions = session.query(models.Function.id, models.Function.created_at, models.Function.updated_at).filter(
        models.Function.id.in_(ids)
    )
    table = models.FunctionVersion
    versions = session.query(table.function_id, table.version_number, table.created_at, table.updated_at).filter(
        table.function_id.in_(ids)
    )
    found = {(row.id, 0): row.updated_at or row.created_at for row in functions}
    found |= {(row.function_id, row.version_number): row.updated_at or row.created_at for row in versions}
    return {key: when for key, when in found.items() if key in holders and when}


def reclaim(orchestrator: Orchestrator, holders: Collection[FunctionVersion]) -> FunctionVersion | None:
    """Remove the workers of the idle function version that was used least recently; return it, None if all are busy."""
    for victim in victims(holders, running_of(holders), last_used(holders)):
        if _take(orchestrator, *victim):
            return victim
    return None


def _take(orchestrator: Orchestrator, function_id: str, version: int) -> bool:
    """Remove a function version's workers unless it is in use; return whether that was done."""
    holder = {(function_id, version)}
    client = etcd_util.get_client()
    with etcd_util.get_worker_lock(function_id, version) as lock:
        if not lock.is_acquired() or running_of(holder):
            return False
        known = client.get_prefix(f"{function_id}_{version}/")
        etcd_util.delete_function(function_id, version)
        removed = False
        try:
            if not running_of(holder):
                orchestrator.delete_function(function_id, version)
                removed = True
        finally:
            if not removed:
                for value, about in known:
                    client.create(encodeutils.safe_decode(about["key"]), encodeutils.safe_decode(value))
    if removed:
        LOG.info("Function %s(version %s) is idle; its workers make room for another function", function_id, version)
    return removed

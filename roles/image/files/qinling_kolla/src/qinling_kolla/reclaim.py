# SPDX-License-Identifier: Apache-2.0
"""Reclaiming: which worker a function gets if its runtime has no free worker; both orchestrators share the policy.

A worker belongs to one function version until the function expires, so a runtime with N workers would serve N functions
and fail the next. A function that needs its first worker therefore replaces the least recently used among the idle
functions. Workers are not reused: the victim's workers are removed with everything the function left in them, and
fresh workers start. While workers of the pool do not start, for example after the loss of a node or image, a function
reclaims at most once.

Why no function loses a worker while it runs, with any number of engines and threads:

- The API records an execution as running before it calls an engine, and the engine then reads the function's address
  from etcd.
- Reclaiming acquires the victim's lock, checks that nothing runs, deletes the victim's workers from etcd, and checks
  for running executions again. This second check sees any execution that has read the address, and etcd's keys are
  restored; a later execution finds no address and waits for the lock to get its own worker.
- An engine killed in between leaves workers that are not in etcd. The function's next execution registers them, or
  gets other workers if they are gone.
- The limit is etcd's lock, which expires after 30 s: an engine that pauses for longer between the second check and the
  removal may remove a worker registered in the meantime, and the execution there ends in the status error. If only the
  removal takes longer, nothing is lost, as etcd's keys are not changed after it.
- The victim's lock is acquired without waiting, so functions that reclaim from each other cannot deadlock. The function
  that needs a worker holds its own lock, so that it reclaims once for any number of executions.
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

# A function fails if no worker of its runtime has changed its function for this long: the workers are then busy, rather
# than shared in turn. It equals the start time allowed for a worker (CLAIM_SECONDS of both orchestrators), so that a
# fresh worker has time to start.
BUSY_SECONDS = 20
# The total limit: a waiting function occupies a thread of the engine, and its caller waits.
WAIT_SECONDS = 120

FunctionVersion = tuple[str, int]


class NoFreeWorker(failures.PlatformError):
    """All workers of a runtime serve other functions or do not run."""

    def __init__(self, runtime_id: str, total: int, in_use: int, requested: int = 1, free: int = 0, details: str = ""):
        """Describe a runtime with ``total`` actual or configured workers, ``in_use`` of which belong to functions.

        ``free`` is less than ``requested``. ``details`` say why workers do not run, for the log only.
        """
        self.free = free
        self.all_in_use = total == in_use
        # The function version whose workers were removed.
        self.reclaimed: FunctionVersion | None = None
        text = shortage(runtime_id, total, in_use, requested, free)
        super().__init__(f"{text} ({details})" if details else text, text)


def shortage(runtime_id: str, total: int, in_use: int, requested: int = 1, free: int = 0) -> str:
    """Return one line about a runtime with too few workers."""
    head = f"only {free} of {requested} requested workers are free" if free else "no free worker"
    stopped = total - in_use - free
    return f"{head} for runtime {runtime_id}: {in_use} of {total} in use" + (
        f", {stopped} not running" if stopped > 0 else ""
    )


class Orchestrator(Protocol):
    """The methods of both drivers that reclaiming uses."""

    def holders(self, runtime_id: str) -> set[FunctionVersion]:
        """Return the versions of functions that hold a worker of a runtime."""

    def delete_function(self, function_id: str, function_version: int = 0) -> None:
        """Release the workers of a version of a function."""


class Patience:
    """How long a function waits for its first worker; ``now`` is a time of the monotonic clock."""

    def __init__(self, now: float) -> None:
        """Start to wait."""
        self._end = now + WAIT_SECONDS
        self._busy_until = now + BUSY_SECONDS
        self._seen: frozenset[FunctionVersion] | None = None

    def exhausted(self, now: float, holders: Collection[FunctionVersion]) -> bool:
        """Return whether to give up; ``holders`` are the function versions that have workers."""
        seen = frozenset(holders)
        if self._seen is not None and seen != self._seen:
            self.renew(now)
        self._seen = seen
        return now >= min(self._end, self._busy_until)

    def renew(self, now: float) -> None:
        """Extend the wait, as a worker has become free."""
        self._busy_until = now + BUSY_SECONDS


def victims(
    holders: Collection[FunctionVersion],
    running: Collection[FunctionVersion],
    used: Mapping[FunctionVersion, datetime.datetime],
) -> list[FunctionVersion]:
    """Return the function versions that may lose their workers, least recently used first.

    ``holders`` have workers, ``running`` have running executions. A function version without a time in ``used`` is no
    longer in the database and comes first.
    """
    idle = set(holders) - set(running)
    return sorted(idle, key=lambda each: (used.get(each, datetime.datetime.min), each))


@db_base.session_aware()
def running_of(holders: Collection[FunctionVersion], session: Any = None) -> set[FunctionVersion]:
    """Return the function versions with running executions, read in a separate transaction."""
    table = models.Execution
    rows = (
        session.query(table.function_id, table.function_version)
        .filter(
            table.status == status.RUNNING, table.function_id.in_({function_id for function_id, _unused in holders})
        )
        .distinct()
    )
    return {(row.function_id, row.function_version or 0) for row in rows} & set(holders)


@db_base.session_aware()
def last_used(holders: Collection[FunctionVersion], session: Any = None) -> dict[FunctionVersion, datetime.datetime]:
    """Return when each function version in the database was last used.

    Counting an execution updates the row of the function or version; function_service_expiration uses the same time.
    """
    ids = {function_id for function_id, _unused in holders}
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
    """Remove the workers of the least recently used idle function version; return it, None if all are busy."""
    for victim in victims(holders, running_of(holders), last_used(holders)):
        if _remove_workers(orchestrator, *victim):
            return victim
    return None


def _remove_workers(orchestrator: Orchestrator, function_id: str, version: int) -> bool:
    """Remove a function version's workers unless it is in use; return whether they were removed."""
    holder = {(function_id, version)}
    client = etcd_util.get_client()
    with etcd_util.get_worker_lock(function_id, version) as lock:
        if not lock.is_acquired() or running_of(holder):
            return False
        saved = client.get_prefix(f"{function_id}_{version}/")
        etcd_util.delete_function(function_id, version)
        removed = False
        try:
            if not running_of(holder):
                orchestrator.delete_function(function_id, version)
                removed = True
        finally:
            if not removed:
                for value, about in saved:
                    client.create(encodeutils.safe_decode(about["key"]), encodeutils.safe_decode(value))
    if removed:
        LOG.info("Function %s(version %s) is idle; removed its workers for another function", function_id, version)
    return removed

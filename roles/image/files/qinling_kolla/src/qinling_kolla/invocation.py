# SPDX-License-Identifier: Apache-2.0
"""One execution of a package function in the engine, with as few round trips as it takes.

Qinling's own way takes etcd's lock of the function for each execution, to see whether it needs another worker: six
calls, three of which wait for etcd's disk, and where two executions meet, the second one tries again after a second.
Here one look at etcd and one at the database tell that no worker is needed, and only who needs one takes the lock,
under which Qinling's own check looks again. A function that has a worker runs there when it cannot get another one. One
that has none waits for its first worker, and takes the place of an idle function where none is free.
"""

import functools
import random
import threading
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import encodeutils
from qinling import exceptions as exc
from qinling import status
from qinling.db import api as db_api
from qinling.db import base as db_base
from qinling.db.sqlalchemy import models
from qinling.engine import default_engine, utils
from qinling.utils import constants, etcd_util

from qinling_kolla import final_states, reclaim

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

# How long a function that got no further worker waits before it asks for one again.
SCALE_PAUSE_SECONDS = 5
# How long a function's lock may be held by another execution, which claims a worker (CLAIM_SECONDS) or reclaims one.
LOCK_SECONDS = 30
# Pauses between two tries, in seconds: for a lock, which is held for moments, and for a worker.
LOCK_PAUSE = (0.05, 0.15)
WORKER_PAUSE = (0.3, 0.7)

# Qinling's check under the function's lock, without its own retries, which wait a second each.
_load_check = default_engine.DefaultEngine.function_load_check.__wrapped__

_guard = threading.Lock()
_paused: dict[tuple[str, int], float] = {}


def known_workers(function_id: str, version: int) -> tuple[int, str | None]:
    """Return how many workers etcd knows of a function's version, and their address, by one read."""
    prefix = f"{function_id}_{version}/"
    count, address = 0, None
    for value, about in etcd_util.get_client().get_prefix(prefix):
        name = encodeutils.safe_decode(about["key"]).removeprefix(prefix)
        if name == "service_url":
            address = encodeutils.safe_decode(value)
        else:
            count += name.startswith("worker_")
    return count, address


@db_base.session_aware()
def look(function_id: str, version: int, session: Any = None) -> tuple[Any, int]:
    """Return a function and how many executions of its version are running."""
    function = db_api.get_function(function_id)
    running = (
        session.query(models.Execution.id)
        .filter_by(function_id=function_id, function_version=version, status=status.RUNNING)
        .count()
    )
    return function, running


def overloaded(running: int, workers: int) -> bool:
    """Tell whether a function needs another worker: it has none, or more executions than those may have at once."""
    return not workers or running / workers > CONF.engine.function_concurrency


def _may_scale(key: tuple[str, int]) -> bool:
    with _guard:
        return time.monotonic() >= _paused.get(key, 0.0)


def _pause(key: tuple[str, int]) -> None:
    now = time.monotonic()
    with _guard:
        for old in [old for old, until in _paused.items() if until < now]:
            del _paused[old]
        _paused[key] = now + SCALE_PAUSE_SECONDS


def address_of(
    engine: Any, execution_id: str, function_id: str, version: int, runtime_id: str | None, running: int
) -> str:
    """Return the address of a function's workers, after getting it another one where it needs one.

    Raises NoFreeWorker when it has no worker at all and gets none, and Ended when its execution ends before that.
    """
    workers, address = known_workers(function_id, version)
    if not (workers and address):
        return first_worker(engine, execution_id, function_id, version, runtime_id)
    key = (function_id, version)
    if not overloaded(running, workers) or not _may_scale(key):
        return address
    try:
        address = _load_check(engine, function_id, version, runtime_id) or address
    except exc.EtcdLockException:
        # Somebody else is at it.
        return address
    except exc.OrchestratorException as error:
        LOG.warning("Function %s(version %s) keeps the workers that it has: %s", function_id, version, error)
    if known_workers(function_id, version)[0] <= workers:
        _pause(key)
    return address


@functools.cache
def _waiting() -> threading.BoundedSemaphore:
    """Return the slots of executions that wait for a worker: half of the threads, so that functions with one go on."""
    return threading.BoundedSemaphore(max(1, getattr(CONF, "executor_thread_pool_size", 64) // 2))


def _get_worker(engine: Any, function_id: str, version: int, runtime_id: str | None, again: bool) -> str:
    """Return the address of a function, under its lock, after getting it a worker where it has none.

    Raises EtcdLockException when another execution holds the lock, and NoFreeWorker, which names the function version
    whose workers were reclaimed for this one. Where workers of the pool do not start, what is reclaimed may not start
    either: it is tried once, and not ``again``.
    """
    with etcd_util.get_worker_lock(function_id, version) as lock:
        if not lock.is_acquired():
            raise exc.EtcdLockException(f"Etcd: failed to get worker lock for function {function_id}({version}).")
        workers, address = known_workers(function_id, version)
        if workers and address:
            return address
        # Workers without an address, or the reverse, are leftovers of an engine that was interrupted. The orchestrator
        # knows which workers the function really has, and registers those first.
        etcd_util.delete_function(function_id, version)
        try:
            return str(engine.scaleup_function(None, function_id, version, runtime_id, 1))
        except reclaim.NoFreeWorker as error:
            if error.all_in_use or not (error.free or again):
                holders = engine.orchestrator.holders(runtime_id) - {(function_id, version)}
                error.reclaimed = reclaim.reclaim(engine.orchestrator, holders)
            raise


def first_worker(engine: Any, execution_id: str, function_id: str, version: int, runtime_id: str | None) -> str:
    """Return the address of a function that has no worker, after getting it one.

    Where no worker is free, an idle one is reclaimed; where that cannot be, the function waits with reclaim.Patience.
    Raises what the last try raised, and Ended as soon as the execution has ended.
    """
    patience = reclaim.Patience(time.monotonic())
    locked_until = time.monotonic() + LOCK_SECONDS
    waiting = reclaimed = False
    try:
        while True:
            final_states.require_running(execution_id)
            try:
                return _get_worker(engine, function_id, version, runtime_id, again=reclaimed)
            except exc.EtcdLockException:
                # Another execution of the function gets the worker, or another function reclaims the last one.
                if time.monotonic() >= locked_until:
                    raise
                pause = LOCK_PAUSE
            except reclaim.NoFreeWorker as error:
                if error.reclaimed:
                    patience.renew(time.monotonic())
                if patience.exhausted(time.monotonic(), engine.orchestrator.holders(runtime_id)):
                    raise
                if error.reclaimed:
                    reclaimed = True
                    continue
                waiting = waiting or _waiting().acquire(blocking=False)
                if not waiting:
                    raise
                locked_until = time.monotonic() + LOCK_SECONDS
                pause = WORKER_PAUSE
            time.sleep(random.uniform(*pause))
            workers, address = known_workers(function_id, version)
            if workers and address:
                return address
    finally:
        if waiting:
            _waiting().release()


def package_state(function: Any, version: int) -> dict[str, Any]:
    """Return what tells a worker whether the package that it has is the current one, without asking the API.

    The checksum is the one by which Qinling itself stores and replaces a package; a version's package never changes.
    Nothing for a package in Swift, which changes without Qinling's knowledge.
    """
    if version:
        return {"package_final": True}
    checksum = function.code.get("md5sum")
    if function.code.get("source") == constants.PACKAGE_FUNCTION and checksum:
        return {"package_md5": checksum}
    return {}


def run(
    engine: Any,
    ctx: Any,
    execution_id: str,
    function_id: str,
    version: int,
    runtime_id: str | None,
    given: Any,
    otherwise: Any,
) -> None:
    """Run an execution to its end; raises what keeps the platform from running it, or Ended where it has ended.

    :param otherwise: Qinling's own method, for image functions.
    """
    function, running = look(function_id, version)
    if function.code["source"] == constants.IMAGE_FUNCTION:
        final_states.require_running(execution_id)
        otherwise(engine, ctx, execution_id, function_id, version, runtime_id, input=given)
        return
    address = address_of(engine, execution_id, function_id, version, runtime_id, running)
    request = utils.get_request_data(
        CONF,
        function_id,
        version,
        execution_id,
        {"cpu": function.cpu, "memory_size": function.memory_size},
        given,
        function.entry,
        function.trust_id,
        engine.qinling_endpoint,
        function.timeout,
    )
    request |= package_state(function, version)
    # The last moment: getting a worker and a token may have taken longer than the caller waits.
    final_states.require_running(execution_id)
    LOG.info("Running execution %s of function %s(version %s)", execution_id, function_id, version)
    success, result = utils.url_request(engine.session, f"{address}/execute", body=request)
    utils.finish_execution(execution_id, success, result)

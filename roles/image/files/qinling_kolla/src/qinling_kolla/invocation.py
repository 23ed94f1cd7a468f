# SPDX-License-Identifier: Apache-2.0
"""One execution of a package function in the engine, with few round trips.

Qinling's own code acquires the function's lock in etcd for each execution, to check whether it needs another worker:
six calls, three of which wait for etcd's disk. Of two concurrent executions, the second retries after a second. Here
one query each of etcd and of the database shows that no worker is needed; only an execution that needs one acquires the
lock, under which Qinling's own check runs again. A function with a worker runs there if it cannot get another one. A
function without a worker waits for its first one, and replaces an idle function if no worker is free.
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

# Pause after a failed scale-up before a function requests another worker again.
SCALE_PAUSE_SECONDS = 5
# How long another execution may hold a function's lock while it claims (CLAIM_SECONDS) or reclaims a worker.
LOCK_SECONDS = 30
# Pauses between attempts in seconds: for a lock, which is held briefly, and for a worker.
LOCK_PAUSE = (0.05, 0.15)
WORKER_PAUSE = (0.3, 0.7)

# Qinling's check under the function's lock, without its retries, each of which waits a second.
_load_check = default_engine.DefaultEngine.function_load_check.__wrapped__

_guard = threading.Lock()
_paused: dict[tuple[str, int], float] = {}


def registered_workers(function_id: str, version: int) -> tuple[int, str | None]:
    """Return the number of a function version's workers in etcd, and their address, with one read."""
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
def load_function(function_id: str, version: int, session: Any = None) -> tuple[Any, int]:
    """Return a function and the number of running executions of its version."""
    function = db_api.get_function(function_id)
    running = (
        session.query(models.Execution.id)
        .filter_by(function_id=function_id, function_version=version, status=status.RUNNING)
        .count()
    )
    return function, running


def overloaded(running: int, workers: int) -> bool:
    """Return whether a function needs another worker: it has none, or its executions exceed the limit per worker."""
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
    """Return the address of a function's workers, after adding a worker if it needs one.

    Raise NoFreeWorker if it has no worker and gets none, and Ended if its execution ends before.
    """
    workers, address = registered_workers(function_id, version)
    if not (workers and address):
        return first_worker(engine, execution_id, function_id, version, runtime_id)
    key = (function_id, version)
    if not overloaded(running, workers) or not _may_scale(key):
        return address
    try:
        address = _load_check(engine, function_id, version, runtime_id) or address
    except exc.EtcdLockException:
        # Another execution is already scaling.
        return address
    except exc.OrchestratorException as error:
        LOG.warning("Function %s(version %s) keeps its current workers: %s", function_id, version, error)
    if registered_workers(function_id, version)[0] <= workers:
        _pause(key)
    return address


@functools.cache
def _waiting() -> threading.BoundedSemaphore:
    """Return the slots of executions that wait for a worker: half of the threads; others stay free for running ones."""
    return threading.BoundedSemaphore(max(1, getattr(CONF, "executor_thread_pool_size", 64) // 2))


def _get_worker(engine: Any, function_id: str, version: int, runtime_id: str | None, already_reclaimed: bool) -> str:
    """Return the address of a function, under its lock, after claiming a worker if it has none.

    Raise EtcdLockException if another execution holds the lock, and NoFreeWorker, which names the function version
    whose workers were reclaimed for this one. If workers of the pool do not start, reclaimed ones may not start either:
    it is attempted once, not if ``already_reclaimed``.
    """
    with etcd_util.get_worker_lock(function_id, version) as lock:
        if not lock.is_acquired():
            raise exc.EtcdLockException(f"Etcd: failed to get worker lock for function {function_id}({version}).")
        workers, address = registered_workers(function_id, version)
        if workers and address:
            return address
        # Workers without an address, or the reverse, are leftovers of an interrupted engine. The orchestrator knows the
        # function's actual workers and registers them first.
        etcd_util.delete_function(function_id, version)
        try:
            return str(engine.scaleup_function(None, function_id, version, runtime_id, 1))
        except reclaim.NoFreeWorker as error:
            if error.all_in_use or not (error.free or already_reclaimed):
                holders = engine.orchestrator.holders(runtime_id) - {(function_id, version)}
                error.reclaimed = reclaim.reclaim(engine.orchestrator, holders)
            raise


def first_worker(engine: Any, execution_id: str, function_id: str, version: int, runtime_id: str | None) -> str:
    """Return the address of a function without a worker, after claiming one.

    If no worker is free, an idle one is reclaimed; if that is impossible, the function waits with reclaim.Patience.
    Raise the error of the last attempt, and Ended as soon as the execution has ended.
    """
    patience = reclaim.Patience(time.monotonic())
    locked_until = time.monotonic() + LOCK_SECONDS
    waiting = reclaimed = False
    try:
        while True:
            final_states.require_running(execution_id)
            try:
                return _get_worker(engine, function_id, version, runtime_id, already_reclaimed=reclaimed)
            except exc.EtcdLockException:
                # Another execution is getting the worker, or another function is reclaiming this one's last worker.
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
            workers, address = registered_workers(function_id, version)
            if workers and address:
                return address
    finally:
        if waiting:
            _waiting().release()


def package_state(function: Any, version: int) -> dict[str, Any]:
    """Return request fields by which a worker recognizes that its package is current, without a request to the API.

    The checksum is the one with which Qinling stores and replaces a package; a version's package never changes. A
    package in Swift has no such field, as it changes without Qinling's knowledge.
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
    run_image_function: Any,
) -> None:
    """Run an execution until it ends; raise a failure of the platform, or Ended if the execution has already ended.

    ``run_image_function`` is Qinling's own method.
    """
    function, running = load_function(function_id, version)
    if function.code["source"] == constants.IMAGE_FUNCTION:
        final_states.require_running(execution_id)
        run_image_function(engine, ctx, execution_id, function_id, version, runtime_id, input=given)
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
    # Checked last: getting a worker and a token may have taken longer than the caller waits.
    final_states.require_running(execution_id)
    LOG.info("Running execution %s of function %s(version %s)", execution_id, function_id, version)
    success, result = utils.url_request(engine.session, f"{address}/execute", body=request)
    utils.finish_execution(execution_id, success, result)

# SPDX-License-Identifier: Apache-2.0
"""Executions that failed unexpectedly stayed "running", and a lost worker failed every later execution.

- Any failure in the engine ends the execution in the status error; its output and log contain the reason.
- An execution ends once: an abandoned execution is not started, and its record is not overwritten.
- A worker that stopped answering (its node or container is gone) is deregistered, and the execution runs on another.
- Executions of package functions use the short path of ``qinling_kolla.invocation``.
- Logs longer than the database's column are truncated: saving them failed and left the execution running.
"""

import sys
from typing import Any

import tenacity
from oslo_db import exception as db_exc
from oslo_log import log as logging
from qinling import exceptions as exc
from qinling import status
from qinling.engine import default_engine, utils
from qinling.utils import etcd_util

from qinling_kolla import failures, final_states, invocation, worker
from qinling_kolla.orchestrator import transport

NAME = "executions in the engine"
REASON = "failures left executions running forever or without a reason, and a lost worker failed all later ones"

LOG = logging.getLogger(__name__)

# MariaDB's TEXT.
MAX_LOG_BYTES = 65535
_CUT = "\n[the log was cut here]\n"

# Under the lock, a worker that is alive answers at once.
_RECHECK_SECONDS = 3

_original_create_execution = default_engine.DefaultEngine.create_execution


def cut_log(text: str, limit: int = MAX_LOG_BYTES) -> str:
    """Return ``text``, with its middle removed if its UTF-8 form exceeds ``limit`` bytes."""
    # The database does not accept NUL.
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    half = (limit - len(_CUT)) // 2
    return encoded[:half].decode(errors="ignore") + _CUT + encoded[-half:].decode(errors="ignore")


@tenacity.retry(
    wait=tenacity.wait_fixed(1),
    stop=tenacity.stop_after_attempt(30),
    reraise=True,
    retry=tenacity.retry_if_exception_type(db_exc.DBConnectionError),
)
def set_status(execution_id: str, execution_status: str, logs: Any, res: Any) -> None:
    """Record how an execution ended, unless it has ended already; wait while the database restarts.

    Replaces ``qinling.engine.utils.db_set_execution_status``.
    """
    text = logs if isinstance(logs, str) else "" if logs is None else str(logs)
    result = res if isinstance(res, dict) else {"output": res}
    values = {"status": execution_status, "logs": cut_log(text), "result": result}
    if not final_states.end(execution_id, values):
        LOG.warning(
            "Execution %s is not recorded as %s: it has already ended or was deleted", execution_id, execution_status
        )


@tenacity.retry(
    wait=tenacity.wait_fixed(1),
    stop=tenacity.stop_after_attempt(30),
    reraise=True,
    retry=tenacity.retry_if_exception_type(exc.EtcdLockException),
)
def release_workers(engine: Any, function_id: str, version: int) -> None:
    """Release a function's workers unless they answer, so that the next execution gets other workers."""
    with etcd_util.get_worker_lock(function_id, version) as lock:
        if not lock.is_acquired():
            raise exc.EtcdLockException(f"Etcd: failed to get worker lock for function {function_id}({version}).")
        url = etcd_util.get_service_url(function_id, version)
        if url:
            try:
                # Another execution may already have replaced them.
                worker.ping(engine.session, f"{url}/execute", _RECHECK_SECONDS)
                return
            except worker.Unreachable as error:
                if isinstance(error.__cause__, transport.GatewayAway):
                    raise
        LOG.warning("The workers of function %s(version %s) are lost; replacing them", function_id, version)
        engine.orchestrator.delete_function(function_id, version)
        etcd_util.delete_function(function_id, version)


def create_execution(
    self: Any,
    ctx: Any,
    execution_id: str,
    function_id: str,
    function_version: int,
    runtime_id: str | None,
    input: Any = None,
) -> None:
    """Run an execution until it ends, in success or failure; replaces the engine's method."""

    def attempt() -> None:
        invocation.run(
            self, ctx, execution_id, function_id, function_version, runtime_id, input, _original_create_execution
        )

    try:
        try:
            attempt()
        except worker.Unreachable:
            # Nothing has been started.
            release_workers(self, function_id, function_version)
            attempt()
    except final_states.Ended:
        # Abandoned before the queue delivered it to this engine, or while it waited for a worker.
        LOG.warning("Execution %s is not started: it has already ended", execution_id)
    except Exception as error:
        record_failure(execution_id, error)


def record_failure(execution_id: str, error: BaseException) -> None:
    """End an execution that failed in the platform: the caller gets the reason, the engine's log the details."""
    if failures.is_expected(error):
        LOG.warning("Execution %s ends in error: %s: %s", execution_id, type(error).__name__, error)
    else:
        LOG.error("Execution %s ends in error", execution_id, exc_info=error)
    text = failures.output(error)
    utils.db_set_execution_status(execution_id, status.ERROR, text, {"output": text})


def handle_execution_exception(execution_id: str, text: str) -> None:
    """End an execution inside an ``except`` block; replaces ``qinling.engine.utils.handle_execution_exception``."""
    record_failure(execution_id, sys.exception() or failures.PlatformError(text))


def needed() -> bool:
    """Return whether Qinling's own method is in use."""
    return default_engine.DefaultEngine.create_execution is _original_create_execution


def apply() -> None:
    """Replace Qinling's functions and the engine's method."""
    utils.db_set_execution_status = set_status
    utils.handle_execution_exception = handle_execution_exception
    default_engine.DefaultEngine.create_execution = create_execution

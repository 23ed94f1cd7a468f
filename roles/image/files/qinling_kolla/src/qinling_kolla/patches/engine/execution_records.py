# SPDX-License-Identifier: Apache-2.0
"""Recording an execution took five transactions, and waiting executions could occupy all threads of the API.

- All queries and writes before the call of the engine are one transaction: it waits for the database's disk once.
- A synchronous execution occupies a thread until the function ends. With all threads occupied, the package downloads
  that these executions waited for got no thread and failed after 30 s, and health checks got no answer. A quarter of
  the threads stays reserved; a synchronous execution that would need one of them is refused before anything starts.
"""

import json
import math
import threading
from typing import Any

from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_log import log as logging
from qinling import context, status
from qinling import exceptions as exc
from qinling.db import api as db_api
from qinling.db import base as db_base
from qinling.db.sqlalchemy import models
from qinling.utils import constants, executions

from qinling_kolla import final_states
from qinling_kolla.patches.engine import execution_rpc
from qinling_kolla.patches.security import alias_project

NAME = "records of executions"
REASON = "each took five transactions, and waiting executions could occupy the threads that their packages need"

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

# The key under which runtimes and drivers expect input that is text.
TEXT = "__function_input"
MAX_DEPTH = 100

_original = executions.create_execution


class Busy(exc.QinlingException):
    """All threads that may wait for executions are occupied."""

    http_code = 503
    message = (
        "The API waits for as many synchronous executions as it can; try again, or execute without waiting (sync)."
    )


class Slots:
    """Counter of the threads of this process that wait for executions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def acquire(self, limit: int) -> bool:
        """Acquire one of ``limit`` slots; return whether one was free."""
        with self._lock:
            if self._taken >= limit:
                return False
            self._taken += 1
            return True

    def release(self) -> None:
        """Release an acquired slot."""
        with self._lock:
            self._taken -= 1


slots = Slots()


def waiting_threads(threads: int) -> int:
    """Return how many of a process's threads may wait for executions: three quarters, at least one."""
    return max(1, threads - max(1, threads // 4))


def _refuse(name: str, fault: str) -> exc.InputException:
    return exc.InputException(
        f"{name}: {fault}; expected a JSON object (its members are the function's arguments), a number or plain text"
    )


def _nested_too_deeply(value: Any) -> bool:
    """Return whether ``value`` is nested deeper than queue, database and workers can handle."""
    level = [value]
    for _number in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def read_input(given: str | None, name: str = "input") -> dict[str, Any] | None:
    """Return an execution's input in its stored form; raise InputException (400) if it is not valid.

    ``given`` is the user's JSON or text, ``name`` its name in messages. A JSON object holds the function's named
    arguments. Text, and a JSON number or string, is its only positional argument. Null and empty text mean no input.
    Other JSON is refused.
    """

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise _refuse(name, f"{text[:40]} is not a JSON number")
        return number

    if not given:
        return None
    try:
        value = json.loads(given, parse_float=finite, parse_constant=finite)
    except json.JSONDecodeError:
        return {TEXT: given}
    except (ValueError, RecursionError):
        raise _refuse(name, "the JSON is nested too deeply or contains a number with too many digits") from None
    if value is None:
        return None
    if isinstance(value, str):
        return {TEXT: value}
    if isinstance(value, dict):
        if _nested_too_deeply(value):
            raise _refuse(name, f"the JSON is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(value.get(TEXT, ""), str):
            raise _refuse(name, f"{TEXT} is reserved for text")
        return value
    if isinstance(value, list | bool):
        raise _refuse(name, f"a JSON {'list' if isinstance(value, list) else 'boolean'} is not accepted")
    return {TEXT: given}


def resolve(params: dict[str, Any]) -> tuple[str, int]:
    """Return the ID and version of the function that ``params`` select, by alias or by ID."""
    if params.get("function_alias"):
        function, version = alias_project.resolve(context.get_ctx().projectid, params["function_alias"])
        return function.id, version
    return params["function_id"], params.get("function_version", 0)


def _count(function_id: str, version: int) -> None:
    """Count an execution of a function or of its version, which also updates the time of its last use."""
    if version > 0:
        row = {"function_id": function_id, "version_number": version}
        db_api.conditional_update(
            models.FunctionVersion, {"count": models.FunctionVersion.count + 1}, row, insecure=True
        )
    else:
        db_api.conditional_update(
            models.Function, {"count": models.Function.count + 1}, {"id": function_id}, insecure=True
        )


@oslo_db_api.wrap_db_retry(max_retries=5, retry_interval=0.05, retry_on_deadlock=True)
@db_base.session_aware()
def record(params: dict[str, Any], function_id: str, version: int, session: Any = None) -> tuple[Any, str | None]:
    """Save a new execution as running; return it and the ID of its function's runtime, if any.

    Raise an exception of Qinling if the function or version does not exist, or if its runtime is not available.
    """
    # First: MariaDB refuses to change a row that was changed elsewhere after this transaction's first read.
    _count(function_id, version)
    function = db_api.get_function(function_id)
    if function.runtime_id and db_api.get_runtime(function.runtime_id).status != status.AVAILABLE:
        raise exc.RuntimeNotAvailableException(f"Runtime {function.runtime_id} is not available.")
    if version > 0:
        if function.code["source"] != constants.PACKAGE_FUNCTION:
            raise exc.InputException("Only functions that were uploaded as a package have versions.")
        db_api.get_function_version(function_id, version)
    execution = db_api.create_execution(
        {
            **params,
            "function_id": function_id,
            "function_version": version,
            "input": read_input(params.get("input")),
            "status": status.RUNNING,
        }
    )
    return execution, function.runtime_id


def _run(engine_client: Any, params: dict[str, Any], is_sync: bool) -> Any:
    execution, runtime_id = record(params, *resolve(params))
    try:
        engine_client.create_execution(
            execution.id,
            execution.function_id,
            execution.function_version,
            runtime_id,
            input=execution.input,
            is_sync=is_sync,
        )
    except execution_rpc.NotExecuted as error:
        # Final unless an engine has recorded an end, so that the response to the caller stays true.
        if final_states.abandon(execution.id, str(error)):
            LOG.warning("Execution %s was abandoned: %s", execution.id, error)
        return db_api.get_execution(execution.id)
    return db_api.get_execution(execution.id) if is_sync else execution


def create_execution(engine_client: Any, params: dict[str, Any]) -> Any:
    """Record an execution, run it in the engine, and return it; replaces ``executions.create_execution``."""
    if not params.get("sync", True):
        return _run(engine_client, params, False)
    if not slots.acquire(waiting_threads(CONF.api.api_threads)):
        raise Busy()
    try:
        return _run(engine_client, params, True)
    finally:
        slots.release()


def needed() -> bool:
    """Return whether Qinling's own function is in use."""
    return executions.create_execution is _original


def apply() -> None:
    """Replace Qinling's function."""
    executions.create_execution = create_execution

# SPDX-License-Identifier: Apache-2.0
"""An execution was recorded by five transactions, and executions that waited could take all of the API's threads.

- What the API looks up and writes before it calls the engine is one transaction: it waits for the database's disk once.
- A worker that fetches a package asks the API, and so does whoever looks how it is. A synchronous execution holds a
  thread until the function has ended: when all threads did so, downloads that the same executions waited for got none,
  until they failed after 30 s. Some threads stay free for that; a synchronous execution that would take one is refused,
  before anything has happened.
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
from qinling_kolla.mends import alias_project, execution_rpc

NAME = "records of executions"
REASON = "each took five transactions, and waiting executions could take all threads, those for their packages included"

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

# By this name the runtimes and the drivers know an input that is text.
TEXT = "__function_input"
MAX_DEPTH = 100

_original = executions.create_execution


class Busy(exc.QinlingException):
    """All threads that may wait for executions do so."""

    http_code = 503
    message = (
        "The API waits for as many synchronous executions as it can; try again, or execute without waiting (sync)."
    )


class Slots:
    """How many threads of this process wait for executions, of as many as may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def take(self, most: int) -> bool:
        """Take one of ``most`` slots; return whether there was one."""
        with self._lock:
            if self._taken >= most:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        """Give one back that was taken."""
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
    """Return whether lists and objects are nested deeper than queue, database and workers can handle."""
    level = [value]
    for _ in range(MAX_DEPTH):
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
    """Return an execution's input as it is stored, or raise InputException (400).

    A JSON object is the function's named arguments. Text, and a number or string of JSON, is its one positional
    argument. Null and nothing at all are no input. Other JSON has no place in a call and is refused.

    Args:
        given: What the user wrote, JSON or text.
        name: What the user knows it by, for the message.
    """

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise _refuse(name, f"{text[:40]} is no number of JSON")
        return number

    if not given:
        return None
    try:
        value = json.loads(given, parse_float=finite, parse_constant=finite)
    except json.JSONDecodeError:
        return {TEXT: given}
    except (ValueError, RecursionError):
        raise _refuse(name, "the JSON is nested too deeply, or has a number of too many digits") from None
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
        raise _refuse(name, f"a JSON {'list' if isinstance(value, list) else 'true or false'} is no input")
    return {TEXT: given}


def resolve(params: dict[str, Any]) -> tuple[str, int]:
    """Return the function and its version that an execution names, by an alias or outright."""
    if params.get("function_alias"):
        function, version = alias_project.resolve(context.get_ctx().projectid, params["function_alias"])
        return function.id, version
    return params["function_id"], params.get("function_version", 0)


def _count(function_id: str, version: int) -> None:
    """Count an execution of a function or of its version, which shows as well that it is in use."""
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
    """Save a new execution as running; return it, and the runtime that its function needs, if any.

    Raises what tells that there is no such function or version, or that its runtime is not available.
    """
    # First: MariaDB refuses to change a row that somebody else changed since this transaction read anything.
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
        # Final unless an engine recorded an end before: the answer to the caller has to stay true.
        if final_states.give_up(execution.id, str(error)):
            LOG.warning("Execution %s was given up: %s", execution.id, error)
        return db_api.get_execution(execution.id)
    return db_api.get_execution(execution.id) if is_sync else execution


def create_execution(engine_client: Any, params: dict[str, Any]) -> Any:
    """Record an execution, let the engine run it, and return it; replaces ``executions.create_execution``."""
    if not params.get("sync", True):
        return _run(engine_client, params, False)
    if not slots.take(waiting_threads(CONF.api.api_threads)):
        raise Busy()
    try:
        return _run(engine_client, params, True)
    finally:
        slots.give_back()


def needed() -> bool:
    """Tell whether Qinling's own function is in place."""
    return executions.create_execution is _original


def apply() -> None:
    """Replace it."""
    executions.create_execution = create_execution

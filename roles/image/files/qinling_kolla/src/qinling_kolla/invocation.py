# SPDX-License-Identifier: Apache-2.0
"""One execution of a package function in the engine, with as few round trips as it takes.

Qinling's own way takes etcd's lock of the function for each execution, to see whether it needs another worker: six
calls, three of which wait for etcd's disk, and where two executions meet, the second one tries again after a second.
Here one look at etcd and one at the database tell that no worker is needed, and only who needs one takes the lock,
under which Qinling's own check looks again. A function that has a worker runs there when it cannot get another one.
"""

import threading
import time
from typing import Any

import tenacity
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

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

# How long a function that got no further worker waits before it asks for one again.
SCALE_PAUSE_SECONDS = 5
# A function without workers waits for whoever gets it its first one.
LOCK_SECONDS = 30

_load_check = default_engine.DefaultEngine.function_load_check
# Qinling waits a second between two tries.
_first_worker = _load_check.retry_with(
    wait=tenacity.wait_random(0.05, 0.15), stop=tenacity.stop_after_delay(LOCK_SECONDS)
)
_more_workers = _load_check.__wrapped__

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


def address_of(engine: Any, function_id: str, version: int, runtime_id: str | None, running: int) -> str | None:
    """Return the address of a function's workers, after getting it another one where it needs one.

    Raises what Qinling's own check raises when there is no worker at all.
    """
    workers, address = known_workers(function_id, version)
    if not (workers and address):
        return _first_worker(engine, function_id, version, runtime_id) or etcd_util.get_service_url(
            function_id, version
        )
    key = (function_id, version)
    if not overloaded(running, workers) or not _may_scale(key):
        return address
    try:
        address = _more_workers(engine, function_id, version, runtime_id) or address
    except exc.EtcdLockException:
        # Somebody else is at it.
        return address
    except exc.OrchestratorException as error:
        LOG.warning("Function %s(version %s) keeps the workers that it has: %s", function_id, version, error)
    if known_workers(function_id, version)[0] <= workers:
        _pause(key)
    return address


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
    """Run an execution of a package function to its end; raises what keeps the platform from running it.

    :param otherwise: Qinling's own method, for image functions and for what has no address.
    """
    function, running = look(function_id, version)
    address = None
    if function.code["source"] != constants.IMAGE_FUNCTION:
        address = address_of(engine, function_id, version, runtime_id, running)
    if not address:
        otherwise(engine, ctx, execution_id, function_id, version, runtime_id, input=given)
        return
    LOG.info("Running execution %s of function %s(version %s)", execution_id, function_id, version)
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
    success, result = utils.url_request(engine.session, f"{address}/execute", body=request)
    utils.finish_execution(execution_id, success, result)

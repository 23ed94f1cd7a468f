# SPDX-License-Identifier: Apache-2.0
"""An execution whose engine was killed stayed "running" forever and counted as load of its function.

Each engine checks at its start and then every minute for executions that run longer than any engine allows, and ends
them in the status error. Engines do not record which executions they run, so the limit is an age: the function's
timeout, [engine] worker_read_margin, and stuck_execution_grace, which covers waiting in the queue and for a worker.
"""

import datetime
import threading
from typing import Any

from futurist import periodics as futurist_periodics
from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import timeutils
from qinling import status
from qinling.db import api as db_api
from qinling.services import periodics

from qinling_kolla import final_states

NAME = "executions of a lost engine"
REASON = "an execution whose engine was killed stayed running forever"

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

INTERVAL_SECONDS = 60
TASK = "stuck_execution_handler"
LOST = "The execution did not finish: the engine that ran it was lost"

_original_start = periodics.start_function_mapping_handler


def age_limit(timeout: int | None) -> int:
    """Return the age in seconds at which an execution with this ``timeout`` can no longer be running."""
    return (
        (timeout or CONF.resource_limits.max_timeout)
        + CONF.engine.worker_read_margin
        + CONF.engine.stuck_execution_grace
    )


def end_stuck(now: datetime.datetime | None = None) -> list[str]:
    """End the lost executions; return their IDs."""
    now = now or timeutils.utcnow()
    # Younger executions cannot be stuck.
    oldest = now - datetime.timedelta(seconds=age_limit(CONF.resource_limits.min_timeout))
    candidates = db_api.get_executions(
        insecure=True, fields=["id", "function_id", "created_at"], status=status.RUNNING, created_at={"lte": oldest}
    )
    if not candidates:
        return []
    function_ids = sorted({row.function_id for row in candidates if row.function_id})
    timeouts = {
        row.id: row.timeout
        for row in db_api.get_functions(insecure=True, fields=["id", "timeout"], id={"in": function_ids})
    }
    ended = []
    for row in candidates:
        limit = age_limit(timeouts.get(row.function_id))
        if now - row.created_at < datetime.timedelta(seconds=limit):
            continue
        if final_states.abandon(row.id, LOST):
            LOG.warning("Execution %s ran for more than %d s: its engine was lost; ending it in error", row.id, limit)
            ended.append(row.id)
    return ended


@futurist_periodics.periodic(INTERVAL_SECONDS, run_immediately=True)
def handle_stuck_executions() -> None:
    """End the lost executions; a failure, such as an unreachable database, is logged and retried a minute later."""
    try:
        end_stuck()
    except Exception:
        LOG.exception("Failed to check for executions of lost engines")


def start_function_mapping_handler(engine: Any) -> None:
    """Start the engine's periodic tasks; replaces ``periodics.start_function_mapping_handler``."""
    _original_start(engine)
    worker = futurist_periodics.PeriodicWorker([])
    worker.add(handle_stuck_executions)
    periodics._periodic_tasks[TASK] = worker
    threading.Thread(target=worker.start, name=TASK, daemon=True).start()


def needed() -> bool:
    """Return whether Qinling's own function is in use."""
    return periodics.start_function_mapping_handler is _original_start


def apply() -> None:
    """Replace Qinling's function."""
    periodics.start_function_mapping_handler = start_function_mapping_handler

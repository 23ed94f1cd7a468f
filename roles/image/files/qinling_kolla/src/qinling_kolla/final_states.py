# SPDX-License-Identifier: Apache-2.0
"""The final state of an execution, which is set once.

The engine that ran an execution, the API that abandoned it, and the task that ends executions of lost engines all set
it here. The database compares and sets, so the first writer wins, and a response to a caller stays true.
"""

from typing import Any

from oslo_db import api as oslo_db_api
from qinling import status
from qinling.db import api as db_api
from qinling.db import base as db_base
from qinling.db.sqlalchemy import models

# Nobody can undo what a function did before its engine was lost.
MAY_HAVE_RUN = "the function may have run"


@oslo_db_api.wrap_db_retry(max_retries=5, retry_interval=0.05, retry_on_deadlock=True)
def end(execution_id: str, values: dict[str, Any]) -> bool:
    """End a running execution with the given status, result and logs; return False if it was not running."""
    expected = {"id": execution_id, "status": status.RUNNING}
    return bool(db_api.conditional_update(models.Execution, values, expected, insecure=True))


def abandon(execution_id: str, reason: str) -> bool:
    """End a running execution whose end no engine reported; return False if it was not running.

    Result and log contain the reason, as for any failure of the platform.
    """
    text = f"{reason}; {MAY_HAVE_RUN}."
    return end(execution_id, {"status": status.ERROR, "result": {"output": text}, "logs": text})


class Ended(Exception):
    """An execution has a final state and must not be started."""


@db_base.session_aware()
def ended(execution_id: str, session: Any = None) -> bool:
    """Return whether an execution has a final state; False without a record (deleted, or not replicated yet)."""
    found = session.query(models.Execution.status).filter_by(id=execution_id).scalar()
    return found is not None and found != status.RUNNING


def require_running(execution_id: str) -> None:
    """Raise Ended if an execution has a final state, which its caller may already have received."""
    if ended(execution_id):
        raise Ended

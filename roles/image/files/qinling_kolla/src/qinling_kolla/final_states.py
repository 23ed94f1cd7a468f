# SPDX-License-Identifier: Apache-2.0
"""The final state of an execution, which is set once.

The engine that ran an execution, the API that gave it up, and the task that ends executions of lost engines all set it
here. The database compares and sets, so the first of them wins, and an answer given to a caller stays true.
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
    """End a running execution with the given status, result and logs; return False where it was not running."""
    expected = {"id": execution_id, "status": status.RUNNING}
    return bool(db_api.conditional_update(models.Execution, values, expected, insecure=True))


def give_up(execution_id: str, reason: str) -> bool:
    """End a running execution whose end no engine reported; return False where it was not running.

    Result and log say why, as those of any failure of the platform do.
    """
    text = f"{reason}; {MAY_HAVE_RUN}."
    return end(execution_id, {"status": status.ERROR, "result": {"output": text}, "logs": text})


class Ended(Exception):
    """An execution has a final state and is not to be started."""


@db_base.session_aware()
def ended(execution_id: str, session: Any = None) -> bool:
    """Return whether an execution has a final state; one without a record (deleted, or not replicated yet) has none."""
    found = session.query(models.Execution.status).filter_by(id=execution_id).scalar()
    return found is not None and found != status.RUNNING


def require_running(execution_id: str) -> None:
    """Raise Ended where an execution has a final state, such as that its caller was given."""
    if ended(execution_id):
        raise Ended

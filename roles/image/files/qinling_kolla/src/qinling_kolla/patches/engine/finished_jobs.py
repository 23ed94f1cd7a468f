# SPDX-License-Identifier: Apache-2.0
"""A function with a finished job could not be deleted: Qinling checks running jobs only, the database all jobs.

The deletion failed after package, workers and trust were gone. Finished jobs are now deleted with their function.
"""

from typing import Any

import sqlalchemy as sa
from qinling import status
from qinling.db.sqlalchemy import models

NAME = "deletion of a function"
REASON = "a finished job blocked the deletion of its function, whose package was already gone"


def _before_delete(_mapper: Any, connection: Any, target: Any) -> None:
    jobs = models.Job.__table__
    finished = jobs.c.status.in_([status.DONE, status.CANCELLED])
    connection.execute(jobs.delete().where(sa.and_(jobs.c.function_id == target.id, finished)))


def needed() -> bool:
    """Return whether finished jobs stay in the database."""
    return not sa.event.contains(models.Function, "before_delete", _before_delete)


def apply() -> None:
    """Delete finished jobs in the transaction that deletes their function."""
    sa.event.listen(models.Function, "before_delete", _before_delete)

# SPDX-License-Identifier: Apache-2.0
"""A function that once had a job could not be deleted: Qinling looks for running jobs only, the database for all.

By then its package, its workers and its trust were gone already. Finished jobs go with their function now.
"""

from typing import Any

import sqlalchemy as sa
from qinling import status
from qinling.db.sqlalchemy import models

NAME = "deletion of a function"
REASON = "a finished job kept its function from being deleted, after the function's package was gone"


def _before_delete(_mapper: Any, connection: Any, target: Any) -> None:
    jobs = models.Job.__table__
    finished = jobs.c.status.in_([status.DONE, status.CANCELLED])
    connection.execute(jobs.delete().where(sa.and_(jobs.c.function_id == target.id, finished)))


def needed() -> bool:
    """Tell whether finished jobs stay behind."""
    return not sa.event.contains(models.Function, "before_delete", _before_delete)


def apply() -> None:
    """Delete them in the same transaction."""
    sa.event.listen(models.Function, "before_delete", _before_delete)

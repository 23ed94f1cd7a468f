# SPDX-License-Identifier: Apache-2.0
"""``periodics.stop`` deletes from the dict that it walks through: SIGTERM then skipped the engine's orderly end."""

from oslo_log import log as logging
from qinling.services import periodics

NAME = "periodics.stop"
REASON = "it changed the dict it iterates over, so SIGTERM skipped server.stop"

LOG = logging.getLogger(__name__)


def stop(task: str | None = None) -> None:
    """Stop the named periodic task, or all of them."""
    for name in [task] if task else list(periodics._periodic_tasks):
        worker = periodics._periodic_tasks.pop(name, None)
        if worker:
            LOG.info("Stopping periodic task: %s", name)
            worker.stop()


def needed() -> bool:
    """Tell whether Qinling's own function is in place."""
    return periodics.stop.__module__ == periodics.__name__


def apply() -> None:
    """Replace it."""
    periodics.stop = stop

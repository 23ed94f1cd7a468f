# SPDX-License-Identifier: Apache-2.0
"""``periodics.stop`` deletes from the dict that it iterates over, so SIGTERM skipped the engine's graceful stop."""

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
    """Return whether Qinling's own function is in use."""
    return periodics.stop.__module__ == periodics.__name__


def apply() -> None:
    """Replace Qinling's function."""
    periodics.stop = stop

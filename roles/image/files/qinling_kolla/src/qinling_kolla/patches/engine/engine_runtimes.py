# SPDX-License-Identifier: Apache-2.0
"""The engine kept a transaction open while it created a pool, up to 600 s, and left failed updates "upgrading".

Here a pool is created outside any transaction and removed if its runtime was deleted in the meantime, and a failed
update or deletion ends in the status error.
"""

from typing import Any

from oslo_log import log as logging
from qinling import exceptions as exc
from qinling import status
from qinling.db import api as db_api
from qinling.engine import default_engine

NAME = "runtimes in the engine"
REASON = "a transaction stayed open while a pool was created, and failures left a runtime upgrading forever"

LOG = logging.getLogger(__name__)


def _set_status(runtime_id: str, values: dict[str, Any]) -> bool:
    """Save ``values``; return False if the runtime no longer exists."""
    try:
        db_api.update_runtime(runtime_id, values)
    except exc.DBEntityNotFoundError:
        return False
    return True


def create_runtime(self: Any, ctx: Any, runtime_id: str) -> None:
    """Create a runtime's pool and record the result."""
    LOG.info("Start to create runtime %s.", runtime_id)
    runtime = db_api.get_runtime(runtime_id)
    try:
        self.orchestrator.create_pool(runtime_id, runtime.image, trusted=runtime.trusted)
        result = status.AVAILABLE
        LOG.info("Runtime %s created.", runtime_id)
    except Exception:
        LOG.exception("Failed to create the pool of runtime %s (image %s)", runtime_id, runtime.image)
        result = status.ERROR
    if not _set_status(runtime_id, {"status": result}):
        LOG.info("Runtime %s was deleted in the meantime; deleting its pool.", runtime_id)
        self.orchestrator.delete_pool(runtime_id)


def delete_runtime(self: Any, ctx: Any, runtime_id: str) -> None:
    """Delete a runtime and its pool."""
    LOG.info("Start to delete runtime %s.", runtime_id)
    try:
        self.orchestrator.delete_pool(runtime_id)
    except Exception:
        LOG.exception("Failed to delete the pool of runtime %s; delete the runtime again to retry", runtime_id)
        _set_status(runtime_id, {"status": status.ERROR})
        return
    db_api.delete_runtime(runtime_id)
    LOG.info("Deleted runtime %s.", runtime_id)


def update_runtime(
    self: Any, ctx: Any, runtime_id: str, image: str | None = None, pre_image: str | None = None
) -> None:
    """Roll out a new image; roll it back if it does not become ready."""
    LOG.info("Start to update runtime %s, image: %s, pre_image: %s", runtime_id, image, pre_image)
    try:
        updated = self.orchestrator.update_pool(runtime_id, image=image)
    except Exception:
        LOG.exception("Failed to update runtime %s to image %s", runtime_id, image)
        _set_status(runtime_id, {"status": status.ERROR})
        return
    if updated:
        _set_status(runtime_id, {"status": status.AVAILABLE})
        LOG.info("Updated runtime %s.", runtime_id)
    else:
        _set_status(runtime_id, {"status": status.AVAILABLE, "image": pre_image})
        LOG.warning("Runtime %s was rolled back to %s: %s did not become ready.", runtime_id, pre_image, image)


_REPLACED = {"create_runtime": create_runtime, "delete_runtime": delete_runtime, "update_runtime": update_runtime}


def needed() -> bool:
    """Return whether Qinling's own methods are in use."""
    return any(getattr(default_engine.DefaultEngine, name).__module__ == default_engine.__name__ for name in _REPLACED)


def apply() -> None:
    """Replace the engine's methods."""
    for name, function in _REPLACED.items():
        setattr(default_engine.DefaultEngine, name, function)

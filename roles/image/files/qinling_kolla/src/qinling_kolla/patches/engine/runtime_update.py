# SPDX-License-Identifier: Apache-2.0
"""Updating a runtime: a loop variable replaced the runtime's ID, and the engine was called before the commit.

Updating the image of a runtime that has a function answered 404 and sent the function's ID to the engine. If the engine
was faster than the API's commit, its status "available" was overwritten by "upgrading".
"""

from typing import Any

import wsmeext.pecan as wsme_pecan
from oslo_log import log as logging
from qinling import context, status
from qinling import exceptions as exc
from qinling.api import access_control as acl
from qinling.api.controllers.v1 import resources, runtime, types
from qinling.db import api as db_api
from qinling.utils import etcd_util, rest_utils

from qinling_kolla.patches.security import model_names

NAME = "update of a runtime"
REASON = "updating the image of a runtime that has functions answered 404 and sent a wrong ID"

LOG = logging.getLogger(__name__)


def _check_unused(runtime_id: str) -> None:
    """Raise NotAllowedException if a function has workers of the runtime."""
    for function in db_api.get_functions(insecure=True, fields=["id"], runtime_id=runtime_id):
        if etcd_util.get_service_url(function.id):
            raise exc.NotAllowedException(f"Runtime {runtime_id} is still in use by functions.")


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(resources.Runtime, types.uuid, body=resources.Runtime)
def put(self: Any, id: str, runtime: Any) -> Any:
    """Update name, description or image of a runtime; the engine rolls out a new image in the background."""
    acl.enforce("runtime:update", context.get_ctx())
    given = runtime.to_dict()
    values = {key: given[key] for key in ("name", "description", "image") if given.get(key) is not None}
    LOG.info("Update resource, params: %s", values, resource={"type": self.type, "id": id})
    image = values.get("image")
    if image is not None:
        model_names.checked_image(image)

    previous = None
    with db_api.transaction():
        if image is not None:
            current = db_api.get_runtime(id)
            if current.status != status.AVAILABLE:
                raise exc.RuntimeNotAvailableException(f"Runtime {id} is not available.")
            if current.image != image:
                _check_unused(id)
                previous = current.image
                values["status"] = status.UPGRADING
        updated = db_api.update_runtime(id, values)

    if previous is not None:
        try:
            self.engine_client.update_runtime(id, image=image, pre_image=previous)
        except Exception:
            db_api.update_runtime(id, {"status": status.AVAILABLE, "image": previous})
            raise
    return resources.Runtime.from_db_obj(updated)


def needed() -> bool:
    """Return whether Qinling's own method is in use."""
    return runtime.RuntimesController.put.__module__ == runtime.__name__


def apply() -> None:
    """Replace Qinling's method."""
    runtime.RuntimesController.put = put

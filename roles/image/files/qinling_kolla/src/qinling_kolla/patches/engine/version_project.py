# SPDX-License-Identifier: Apache-2.0
"""Without authentication the package of a new version was searched in the project None, which answered 500.

All other code uses the context's ``projectid``, which is the default project if authentication is off.
"""

import inspect
from typing import Any

from qinling import context
from qinling.api.controllers.v1 import function_version

NAME = "project of a new version"
REASON = "creating a version answered 500 with authentication off"

_CONTROLLER = function_version.FunctionVersionsController
_original = _CONTROLLER._create_function_version


def create_function_version(self: Any, project_id: str | None, function_id: str, **kwargs: Any) -> Any:
    """Create a version in the given project, by default the context's."""
    return _original(self, project_id or context.get_ctx().projectid, function_id, **kwargs)


def needed() -> bool:
    """Return whether the controller passes the context's project_id."""
    return _CONTROLLER._create_function_version is _original and "ctx.project_id," in inspect.getsource(
        inspect.unwrap(_CONTROLLER.post)
    )


def apply() -> None:
    """Replace Qinling's method."""
    _CONTROLLER._create_function_version = create_function_version

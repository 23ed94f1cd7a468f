# SPDX-License-Identifier: Apache-2.0
"""A webhook or alias without function_version was stored with NULL; its use compared None with 0 and answered 500.

Version 0 is the function itself, as opposed to its numbered versions.
"""

from typing import Any

import sqlalchemy as sa
from qinling.api.controllers.v1 import resources
from qinling.db.sqlalchemy import models
from sqlalchemy.orm import attributes

NAME = "missing function_version"
REASON = "a webhook or alias without a version was stored with NULL and answered 500 in use"

# The models that refer to a function by ID and version.
MODELS = (models.Webhook, models.FunctionAlias, models.Job, models.Execution)

_original_to_dict = resources.Resource.to_dict


def _before_save(_mapper: Any, _connection: Any, target: Any) -> None:
    # A reference to an alias has neither ID nor version.
    if target.function_version is None and target.function_id:
        target.function_version = 0


def _loaded(target: Any, *_: Any) -> None:
    # Rows stored without this patch; reading them must not mark them as changed.
    columns = target.__dict__
    if columns.get("function_id") and "function_version" in columns and columns["function_version"] is None:
        attributes.set_committed_value(target, "function_version", 0)


def to_dict(self: Any) -> dict[str, Any]:
    """Return the values of a request; an explicit null counts as a missing version."""
    result: dict[str, Any] = _original_to_dict(self)
    if "function_version" in result and result["function_version"] is None:
        del result["function_version"]
    return result


def needed() -> bool:
    """Return whether the models accept NULL."""
    return not any(sa.event.contains(model, "before_insert", _before_save) for model in MODELS)


def apply() -> None:
    """Set a missing version to 0 on save, and read NULL as 0."""
    for model in MODELS:
        sa.event.listen(model, "before_insert", _before_save)
        sa.event.listen(model, "before_update", _before_save)
        sa.event.listen(model, "load", _loaded)
        sa.event.listen(model, "refresh", _loaded)
    resources.Resource.to_dict = to_dict

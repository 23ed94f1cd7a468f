# SPDX-License-Identifier: Apache-2.0
"""A webhook or alias without function_version is stored with NULL, and using it compares None with 0: 500.

Version 0 is the function itself, as opposed to its numbered versions.
"""

from typing import Any

import sqlalchemy as sa
from qinling.api.controllers.v1 import resources
from qinling.db.sqlalchemy import models
from sqlalchemy.orm import attributes

NAME = "missing function_version"
REASON = "a webhook or alias without a version was stored with NULL and answered 500 when used"

# What refers to a function by id and version.
MODELS = (models.Webhook, models.FunctionAlias, models.Job, models.Execution)

_original_to_dict = resources.Resource.to_dict


def _before_save(_mapper: Any, _connection: Any, target: Any) -> None:
    # One that refers to an alias has neither id nor version.
    if target.function_version is None and target.function_id:
        target.function_version = 0


def _loaded(target: Any, *_: Any) -> None:
    # Rows stored before this mend. They do not count as changed.
    columns = target.__dict__
    if columns.get("function_id") and "function_version" in columns and columns["function_version"] is None:
        attributes.set_committed_value(target, "function_version", 0)


def to_dict(self: Any) -> dict[str, Any]:
    """Return what was given in a request; an explicit null counts as no version given."""
    result: dict[str, Any] = _original_to_dict(self)
    if "function_version" in result and result["function_version"] is None:
        del result["function_version"]
    return result


def needed() -> bool:
    """Tell whether the models still take NULL."""
    return not any(sa.event.contains(model, "before_insert", _before_save) for model in MODELS)


def apply() -> None:
    """Fill the version in when saved, and read NULL as 0."""
    for model in MODELS:
        sa.event.listen(model, "before_insert", _before_save)
        sa.event.listen(model, "before_update", _before_save)
        sa.event.listen(model, "load", _loaded)
        sa.event.listen(model, "refresh", _loaded)
    resources.Resource.to_dict = to_dict

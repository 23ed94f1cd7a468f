# SPDX-License-Identifier: Apache-2.0
"""Image names and entries reached the orchestrator as users wrote them: into a pod template, as YAML.

They are checked wherever they are set, at creation and at update, before they reach the database.
"""

from typing import Any

import sqlalchemy as sa
from qinling import exceptions as exc
from qinling.db.sqlalchemy import models
from qinling.utils import constants

from qinling_kolla.orchestrator import names

NAME = "names that users give"
REASON = "an image name was pasted into a pod's YAML unchecked"


def checked_image(value: Any) -> str:
    """Return an image's name, or raise InputException (400)."""
    try:
        return names.image(value)
    except names.InvalidName as error:
        raise exc.InputException(str(error)) from None


def checked_entry(value: Any) -> str:
    """Return a function's entry, or raise InputException (400)."""
    try:
        return names.entry(value)
    except names.InvalidName as error:
        raise exc.InputException(str(error)) from None


def checked_code(value: Any) -> dict[str, Any]:
    """Return what says where a function's code is, or raise InputException (400)."""
    if not isinstance(value, dict):
        raise exc.InputException("Invalid code: expected a JSON object.")
    try:
        if value.get("source") == constants.IMAGE_FUNCTION:
            names.image(value.get("image"))
        if value.get("md5sum") is not None:
            names.md5sum(value["md5sum"])
    except names.InvalidName as error:
        raise exc.InputException(str(error)) from None
    return value


def _on_image(_target: Any, value: Any, *_: Any) -> None:
    checked_image(value)


def _on_entry(_target: Any, value: Any, *_: Any) -> None:
    if value is not None:
        checked_entry(value)


def _on_code(_target: Any, value: Any, *_: Any) -> None:
    checked_code(value)


_LISTENERS = (
    (models.Runtime.image, _on_image),
    (models.Function.entry, _on_entry),
    (models.Function.code, _on_code),
)


def needed() -> bool:
    """Tell whether the models take any name."""
    return not all(sa.event.contains(attribute, "set", check) for attribute, check in _LISTENERS)


def apply() -> None:
    """Check each name when it is set."""
    for attribute, check in _LISTENERS:
        sa.event.listen(attribute, "set", check)

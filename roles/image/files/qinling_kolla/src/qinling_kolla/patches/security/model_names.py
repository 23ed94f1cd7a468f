# SPDX-License-Identifier: Apache-2.0
"""Image names and entries reached the orchestrator unchecked, in the YAML of a pod template.

They are now checked when they are set, at creation and at update, before they reach the database.
"""

from typing import Any

import sqlalchemy as sa
from qinling import exceptions as exc
from qinling.db.sqlalchemy import models
from qinling.utils import constants

from qinling_kolla.orchestrator import names

NAME = "names set by users"
REASON = "an image name was inserted into a pod's YAML unchecked"


def checked_image(value: Any) -> str:
    """Return an image's name; raise InputException (400) if it is not valid."""
    try:
        return names.image(value)
    except names.InvalidName as error:
        raise exc.InputException(str(error)) from None


def checked_entry(value: Any) -> str:
    """Return a function's entry; raise InputException (400) if it is not valid."""
    try:
        return names.entry(value)
    except names.InvalidName as error:
        raise exc.InputException(str(error)) from None


def checked_code(value: Any) -> dict[str, Any]:
    """Return the source of a function's code; raise InputException (400) if it is not valid."""
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
    """Return whether a model accepts any name."""
    return not all(sa.event.contains(attribute, "set", check) for attribute, check in _LISTENERS)


def apply() -> None:
    """Validate each name when it is set."""
    for attribute, check in _LISTENERS:
        sa.event.listen(attribute, "set", check)

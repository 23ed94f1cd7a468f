# SPDX-License-Identifier: Apache-2.0
"""Creating or updating a function with faulty input answered 500, or left a trust behind in Keystone.

Everything that can be known to be wrong is now said, with 400, before a trust is created or a package stored.
"""

import functools
import hashlib
import json
import zipfile
from typing import Any

from qinling import exceptions as exc
from qinling.api.controllers.v1 import function
from qinling.utils import constants, rest_utils

from qinling_kolla.mends import model_names

NAME = "input of functions"
REASON = "faulty input answered 500 or left a trust behind"

# The columns that hold name and description.
MAX_TEXT = 255

_CONTROLLER = function.FunctionsController
_original_post = _CONTROLLER.post
_original_put = _CONTROLLER.put


def _loaded(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        raise exc.InputException("Invalid code: expected a JSON object.") from None


def _check_texts(values: dict[str, Any]) -> None:
    for name in ("name", "description"):
        if len(values.get(name) or "") > MAX_TEXT:
            raise exc.InputException(f"The {name} is longer than {MAX_TEXT} characters.")


def _check_package(package: Any, md5sum: str | None) -> None:
    if not hasattr(package, "file"):
        raise exc.InputException("The function's package has to be uploaded as the file 'package'.")
    if not zipfile.is_zipfile(package.file):
        raise exc.InputException("Package is not a valid ZIP package.")
    package.file.seek(0)
    if md5sum is not None:
        # Qinling's own way to name a package, no protection.
        actual = hashlib.file_digest(package.file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        package.file.seek(0)
        if actual != md5sum:
            raise exc.InputException(f"Package md5 mismatch: {md5sum} was announced, {actual} was uploaded.")


def check_new(values: dict[str, Any]) -> None:
    """Raise InputException unless ``values`` are fit for a new function; what Qinling checks itself is left to it."""
    _check_texts(values)
    if "code" not in values:
        return
    code = model_names.checked_code(_loaded(values["code"]))
    if code.get("source") == constants.IMAGE_FUNCTION:
        return
    if values.get("entry") is not None:
        model_names.checked_entry(values["entry"])
    if code.get("source") == constants.PACKAGE_FUNCTION:
        _check_package(values.get("package"), code.get("md5sum"))


def check_change(values: dict[str, Any]) -> None:
    """Raise InputException unless ``values`` are fit for changing a function."""
    _check_texts(values)
    code: dict[str, Any] = {}
    if values.get("code") is not None:
        code = model_names.checked_code(_loaded(values["code"]))
        # Qinling would replace the function's code by these two, although nothing was uploaded.
        if code.get("md5sum") is not None and values.get("package") is None:
            raise exc.InputException("md5sum is the checksum of a package, and no package was uploaded.")
    if values.get("entry") is not None:
        model_names.checked_entry(values["entry"])
    if values.get("package") is not None:
        _check_package(values["package"], code.get("md5sum"))


@functools.wraps(_original_post)
def _post(self: Any, **kwargs: Any) -> Any:
    check_new(kwargs)
    return _original_post(self, **kwargs)


@functools.wraps(_original_put)
def _put(self: Any, id: str, **kwargs: Any) -> Any:
    check_change(kwargs)
    return _original_put(self, id, **kwargs)


def needed() -> bool:
    """Tell whether Qinling's own methods are in place."""
    return _CONTROLLER.post is _original_post


def apply() -> None:
    """Check before they do anything."""
    _CONTROLLER.post = rest_utils.wrap_pecan_controller_exception(_post)
    _CONTROLLER.put = rest_utils.wrap_pecan_controller_exception(_put)

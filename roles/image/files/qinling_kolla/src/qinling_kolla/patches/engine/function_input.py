# SPDX-License-Identifier: Apache-2.0
"""Creating or updating a function with invalid input answered 500 or left a trust in Keystone.

Input is now validated, with 400, before a trust is created or a package stored.
"""

import functools
import hashlib
import json
import zipfile
from typing import Any

from qinling import exceptions as exc
from qinling.api.controllers.v1 import function
from qinling.utils import constants, rest_utils

from qinling_kolla.patches.security import model_names

NAME = "input of functions"
REASON = "invalid input answered 500 or left a trust in Keystone"

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
        raise exc.InputException("The function's package must be uploaded as the file 'package'.")
    if not zipfile.is_zipfile(package.file):
        raise exc.InputException("Package is not a valid ZIP package.")
    package.file.seek(0)
    if md5sum is not None:
        # Qinling names packages by their MD5; it protects nothing.
        actual = hashlib.file_digest(package.file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        package.file.seek(0)
        if actual != md5sum:
            raise exc.InputException(f"Package md5 mismatch: expected {md5sum}, got {actual}.")


def check_new(values: dict[str, Any]) -> None:
    """Raise InputException unless ``values`` are valid for a new function, except for Qinling's own checks."""
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
    """Raise InputException unless ``values`` are valid changes of a function."""
    _check_texts(values)
    code: dict[str, Any] = {}
    if values.get("code") is not None:
        code = model_names.checked_code(_loaded(values["code"]))
        # Qinling would replace the function's code by source and md5sum, although nothing was uploaded.
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
    """Return whether Qinling's own methods are in use."""
    return _CONTROLLER.post is _original_post


def apply() -> None:
    """Validate input before Qinling's methods run."""
    _CONTROLLER.post = rest_utils.wrap_pecan_controller_exception(_post)
    _CONTROLLER.put = rest_utils.wrap_pecan_controller_exception(_put)

# SPDX-License-Identifier: Apache-2.0
"""A package that could not be written completely, as on a full disk, left a partial file: the disk stayed full."""

import os
from typing import Any

from oslo_utils import fileutils
from qinling import exceptions as exc
from qinling.storage import file_system

NAME = "partial packages"
REASON = "a package that did not fit on the disk left a partial file"

_STORAGE = file_system.FileSystemStorage
_original_store = _STORAGE.store
_original_copy = _STORAGE.copy


def store(self: Any, project_id: str, function: str, data: bytes, md5sum: str | None = None) -> tuple[bool, str]:
    """Store a function's package; return whether it is new, and its MD5. A failure leaves no file."""
    try:
        result: tuple[bool, str] = _original_store(self, project_id, function, data, md5sum=md5sum)
    except OSError:
        # Qinling's temporary name.
        fileutils.delete_if_exists(os.path.join(self.base_path, project_id, f"{function}.zip.new"))
        raise
    return result


def copy(self: Any, project_id: str, function: str, l_md5: str, old_version: int) -> None:
    """Copy a function's package for its next version. A failure leaves no file."""
    try:
        _original_copy(self, project_id, function, l_md5, old_version)
    except exc.StorageProviderException:
        name = file_system.PACKAGE_VERSION_TEMPLATE % (function, old_version + 1, l_md5)
        fileutils.delete_if_exists(os.path.join(self.base_path, project_id, name))
        raise


def needed() -> bool:
    """Return whether Qinling's own methods are in use."""
    return _STORAGE.store is _original_store


def apply() -> None:
    """Replace Qinling's methods."""
    _STORAGE.store = store
    _STORAGE.copy = copy

# SPDX-License-Identifier: Apache-2.0
"""The file system storage looks versions up by prefix: version 1 returned, or deleted, version 10's package."""

import os
import re
from typing import IO, Any

from qinling import exceptions as exc
from qinling.storage import file_system

NAME = "package of a version"
REASON = "version 1 returned and deleted version 10's package"

_original_retrieve = file_system.FileSystemStorage.retrieve
_original_delete = file_system.FileSystemStorage.delete


def find(directory: str, function: str, version: int) -> str | None:
    """Return the path of the package of exactly this version, or None. Its name ends in the package's MD5."""
    name = re.compile(rf"{re.escape(function)}_{version:d}_[0-9a-f]{{32}}\.zip")
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return None
    return next((os.path.join(directory, entry) for entry in sorted(names) if name.fullmatch(entry)), None)


def retrieve(self: Any, project_id: str, function: str, md5sum: str | None, version: int = 0) -> IO[bytes]:
    """Return a function's package, or that of one of its versions, as an open file."""
    if version == 0:
        return _original_retrieve(self, project_id, function, md5sum)
    path = find(os.path.join(self.base_path, project_id), function, version)
    if path is None:
        raise exc.StorageNotFoundException(f"Package of version {version} of function {function} not found.")
    return open(path, "rb")


def delete(self: Any, project_id: str, function: str, md5sum: str | None, version: int = 0) -> None:
    """Delete a function's package, or that of one of its versions; one that is gone already is no error."""
    if version == 0:
        _original_delete(self, project_id, function, md5sum)
        return
    path = find(os.path.join(self.base_path, project_id), function, version)
    if path is not None:
        os.remove(path)


def needed() -> bool:
    """Tell whether Qinling's own methods are in place."""
    return file_system.FileSystemStorage.retrieve is _original_retrieve


def apply() -> None:
    """Replace them."""
    file_system.FileSystemStorage.retrieve = retrieve
    file_system.FileSystemStorage.delete = delete

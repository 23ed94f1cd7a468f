# SPDX-License-Identifier: Apache-2.0
"""The file system storage finds versions by prefix: version 1 returned, or deleted, the package of version 10."""

import os
import re
from typing import IO, Any

from qinling import exceptions as exc
from qinling.storage import file_system

NAME = "package of a version"
REASON = "version 1 returned and deleted the package of version 10"

_original_retrieve = file_system.FileSystemStorage.retrieve
_original_delete = file_system.FileSystemStorage.delete


def find(directory: str, function: str, version: int) -> str | None:
    """Return the path of the package of exactly this version, or None. The file name ends in the package's MD5."""
    name = re.compile(rf"{re.escape(function)}_{version:d}_[0-9a-f]{{32}}\.zip")
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return None
    return next((os.path.join(directory, entry) for entry in sorted(names) if name.fullmatch(entry)), None)


def retrieve(self: Any, project_id: str, function: str, md5sum: str | None, version: int = 0) -> IO[bytes]:
    """Return the package of a function or of one of its versions as an open file."""
    if version == 0:
        return _original_retrieve(self, project_id, function, md5sum)
    path = find(os.path.join(self.base_path, project_id), function, version)
    if path is None:
        raise exc.StorageNotFoundException(f"Package of version {version} of function {function} not found.")
    return open(path, "rb")


def delete(self: Any, project_id: str, function: str, md5sum: str | None, version: int = 0) -> None:
    """Delete the package of a function or of one of its versions, if it exists."""
    if version == 0:
        _original_delete(self, project_id, function, md5sum)
        return
    path = find(os.path.join(self.base_path, project_id), function, version)
    if path is not None:
        os.remove(path)


def needed() -> bool:
    """Return whether Qinling's own methods are in use."""
    return file_system.FileSystemStorage.retrieve is _original_retrieve


def apply() -> None:
    """Replace Qinling's methods."""
    file_system.FileSystemStorage.retrieve = retrieve
    file_system.FileSystemStorage.delete = delete

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Writes files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_beside(path: Path, content: bytes, prefix: str, mode: int = 0o600, owner: tuple[int, int] = (-1, -1)) -> Path:
    """Takes a path, what shall be there, how the new file's name begins, its mode and owner (-1 leaves user or group).

    Returns a new file in the same directory, which can take the place of the path atomically. While it is written only
    this user can read it.
    """
    descriptor, name = tempfile.mkstemp(prefix=prefix, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def replace(path: Path, content: bytes, prefix: str, mode: int = 0o600, owner: tuple[int, int] = (-1, -1)) -> None:
    """Takes what `write_beside` takes, puts the new file in the place of the path."""
    temporary = write_beside(path, content, prefix, mode, owner)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

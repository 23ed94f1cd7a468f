# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Replace files atomically, so that a reader never sees a partly written file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_temporary(
    path: Path, content: bytes, prefix: str, mode: int = 0o600, owner: tuple[int, int] = (-1, -1)
) -> Path:
    """Write the content to a temporary file in the directory of `path`, for an atomic rename, and return it.

    The name of the temporary file begins with `prefix`. Only the current user can read the file while it is written.
    `owner` is the numeric user and group; -1 leaves either unchanged.
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
    """Replace the file at `path` atomically; the parameters are those of `write_temporary`."""
    temporary = write_temporary(path, content, prefix, mode, owner)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

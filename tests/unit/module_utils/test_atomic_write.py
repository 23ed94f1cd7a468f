# SPDX-License-Identifier: Apache-2.0
"""Atomic replacement of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config import atomic_write


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_replace_sets_content_and_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    path.chmod(0o666)
    atomic_write.replace(path, b"after", ".new-", mode, (os.getuid(), os.getgid()))
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", mode)
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    temporary = atomic_write.write_temporary(tmp_path / "file", b"secret", ".new-")
    assert temporary.parent == tmp_path
    assert temporary.name.startswith(".new-")
    assert (temporary.read_bytes(), temporary.stat().st_mode & 0o777) == (b"secret", 0o600)


def test_failed_rename_removes_the_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        atomic_write.replace(path, b"after", ".new-")
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_removes_the_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="disk"):
        atomic_write.replace(path, b"after", ".new-")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"before", [path])

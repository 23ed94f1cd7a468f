# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config import atomic_write


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_takes_the_place_of_another_with_its_own_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    path.chmod(0o666)
    atomic_write.replace(path, b"after", ".new-", mode, (os.getuid(), os.getgid()))
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", mode)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_beside_is_the_owners_alone(tmp_path: Path) -> None:
    made = atomic_write.write_beside(tmp_path / "file", b"secret", ".new-")
    assert made.parent == tmp_path
    assert made.name.startswith(".new-")
    assert (made.read_bytes(), made.stat().st_mode & 0o777) == (b"secret", 0o600)


def test_a_place_that_can_not_be_taken_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        atomic_write.replace(path, b"after", ".new-")
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="disk"):
        atomic_write.replace(path, b"after", ".new-")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"before", [path])

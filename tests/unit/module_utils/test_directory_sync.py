# SPDX-License-Identifier: Apache-2.0
"""Synchronization of services' directories on the host."""

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config import directory_sync
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import (
    MARKER,
    DesiredFile,
    DirectoryError,
)


def run(
    root: Path, enabled: dict[str, Any], disabled: Sequence[str] = (), check: bool = False
) -> directory_sync.Outcome:
    return directory_sync.reconcile(root, enabled, list(disabled), -1, -1, check)


def what(outcome: directory_sync.Outcome, root: Path) -> dict[str, str]:
    return {str(Path(change.path).relative_to(root)): change.what for change in outcome.changes}


def snapshot(root: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "directory"
        found[str(path.relative_to(root))] = (mode, content)
    return found


FILES = {"api": [DesiredFile("a.conf", 0o600, b"a"), DesiredFile("deep/er/b.bin", 0o640, b"\0\xff")]}


def test_creates_and_is_idempotent(tmp_path: Path) -> None:
    root = tmp_path / "etc" / "kolla"
    first = run(root, FILES)
    assert what(first, tmp_path) == {
        "etc": "created",
        "etc/kolla": "created",
        "etc/kolla/api": "created",
        "etc/kolla/api/deep": "created",
        "etc/kolla/api/deep/er": "created",
        "etc/kolla/api/a.conf": "created",
        "etc/kolla/api/deep/er/b.bin": "created",
    }
    created = snapshot(root)
    assert created == {
        "api": (0o770, "directory"),
        f"api/{MARKER}": (0o600, directory_sync.MARKER_TEXT),
        "api/a.conf": (0o600, b"a"),
        "api/deep": (0o770, "directory"),
        "api/deep/er": (0o770, "directory"),
        "api/deep/er/b.bin": (0o640, b"\0\xff"),
    }
    assert run(root, FILES).changes == []
    assert snapshot(root) == created


def test_changes_content_and_mode_and_removes_stale_files(tmp_path: Path) -> None:
    run(tmp_path, FILES)
    (tmp_path / "api/stale").mkdir()
    (tmp_path / "api/stale/x").write_text("x")
    (tmp_path / "api/deep/y").write_text("y")
    (tmp_path / "api/deep/er/b.bin").chmod(0o666)
    (tmp_path / "api").chmod(0o755)
    (tmp_path / "other").mkdir()
    inode = (tmp_path / "api/a.conf").stat().st_ino
    outcome = run(tmp_path, {"api": [DesiredFile("a.conf", 0o600, b"A"), FILES["api"][1]]})
    assert what(outcome, tmp_path) == {
        "api": "permissions",
        "api/stale/x": "removed",
        "api/stale": "removed",
        "api/deep/y": "removed",
        "api/a.conf": "changed",
        "api/deep/er/b.bin": "permissions",
    }
    changed = next(change for change in outcome.changes if change.what == "changed")
    assert (changed.before, changed.after) == (b"a", b"A")
    assert set(snapshot(tmp_path)) == {
        "api",
        f"api/{MARKER}",
        "api/a.conf",
        "api/deep",
        "api/deep/er",
        "api/deep/er/b.bin",
        "other",
    }
    # Replaced, not overwritten: a container never reads a partly written file.
    assert (tmp_path / "api/a.conf").stat().st_ino != inode


def test_check_mode_reports_the_same_changes(tmp_path: Path) -> None:
    root = tmp_path / "kolla"
    expected = run(root, FILES, check=True)
    assert not root.exists()
    assert run(root, FILES).changes == expected.changes
    (root / "api/stale").mkdir()
    (root / "api/stale/x").write_text("x")
    (root / "api/a.conf").write_text("changed")
    (root / "old").mkdir()
    (root / "old" / MARKER).write_text("")
    before = snapshot(root)
    expected = run(root, FILES, ["old"], check=True)
    assert snapshot(root) == before
    assert run(root, FILES, ["old"]).changes == expected.changes != []


def test_directory_of_a_disabled_service_is_removed(tmp_path: Path) -> None:
    run(tmp_path, FILES)
    outcome = run(tmp_path, {}, ["api", "missing"])
    assert what(outcome, tmp_path)["api"] == "removed"
    assert what(outcome, tmp_path)["api/a.conf"] == "removed"
    assert snapshot(tmp_path) == {}
    assert run(tmp_path, {}, ["api"]).changes == []


def test_foreign_directories_are_retained(tmp_path: Path) -> None:
    (tmp_path / "mariadb").mkdir()
    (tmp_path / "mariadb/galera.cnf").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("x")
    before = snapshot(tmp_path)
    outcome = run(tmp_path, {}, ["mariadb", "linked", "file"])
    assert outcome.changes == []
    assert outcome.retained == [str(tmp_path / name) for name in ("file", "linked", "mariadb")]
    assert snapshot(tmp_path) == before


def test_existing_directory_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir(mode=0o770)
    (tmp_path / "api").chmod(0o770)
    (tmp_path / "api/apache.conf").write_text("x")
    outcome = run(tmp_path, {"api": []})
    assert what(outcome, tmp_path) == {"api": "adopted", "api/apache.conf": "removed"}
    assert run(tmp_path, {"api": []}).changes == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (outside / "er").mkdir()
    (outside / "precious").write_text("x")
    (outside / "er/b.bin").write_text("x")
    run(root, {"api": []})
    (root / "api/deep").symlink_to(outside)
    (root / "api/a.conf").symlink_to(outside / "precious")
    (root / "api/loose").symlink_to(outside)
    before = snapshot(outside)
    expected = run(root, FILES, check=True)
    outcome = run(root, FILES)
    assert outcome.changes == expected.changes
    assert [(change.what, str(Path(change.path).relative_to(root / "api"))) for change in outcome.changes] == [
        ("removed", "deep"),
        ("removed", "loose"),
        ("created", "deep"),
        ("created", "deep/er"),
        ("created", "a.conf"),
        ("created", "deep/er/b.bin"),
    ]
    assert snapshot(outside) == before
    assert not (root / "api/a.conf").is_symlink()
    assert not (root / "api/deep").is_symlink()
    (root / "api/loose").symlink_to(outside)
    run(root, {}, ["api"])
    assert snapshot(outside) == before


def test_file_and_directory_are_exchanged(tmp_path: Path) -> None:
    run(tmp_path, {"api": [DesiredFile("a/b", 0o600, b"1"), DesiredFile("c", 0o600, b"2")]})
    desired = {"api": [DesiredFile("a", 0o600, b"1"), DesiredFile("c/d", 0o600, b"2")]}
    expected = run(tmp_path, desired, check=True)
    assert run(tmp_path, desired).changes == expected.changes
    assert (tmp_path / "api/a").read_bytes() == b"1"
    assert (tmp_path / "api/c/d").read_bytes() == b"2"
    assert run(tmp_path, desired).changes == []


class DiskFullError(OSError):
    """The simulated interruption."""


@pytest.mark.parametrize("point", range(8))
def test_run_after_an_interruption_converges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int) -> None:
    """The n-th rename or removal fails; the next run has to reach the desired state."""
    root = tmp_path / "root"
    run(
        root,
        {
            "api": [DesiredFile("old", 0o600, b"o"), DesiredFile("a.conf", 0o600, b"o")],
            "disabled": [DesiredFile("x", 0o600, b"x")],
        },
    )
    calls = iter(range(100))
    real_replace, real_unlink = os.replace, os.unlink

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == point:
                raise DiskFullError(28, "No space left on device", str(args[0]))
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing(real_replace))
        patched.setattr(os, "unlink", failing(real_unlink))
        with contextlib.suppress(DiskFullError):
            run(root, FILES, ["disabled"])
    run(root, FILES, ["disabled"])
    reference = tmp_path / "reference"
    run(reference, FILES)
    assert snapshot(root) == snapshot(reference)


@pytest.mark.parametrize(
    ("enabled", "disabled", "words"),
    [
        ({"../x": []}, [], "not a valid name"),
        ({}, ["../x"], "not a valid name"),
        ({}, [""], "not a valid name"),
        ({}, ["."], "not a valid name"),
        ({"a/b": []}, [], "not a valid name"),
        ({"api": [DesiredFile("../x", 0o600, b"")]}, [], "plain relative"),
        ({"api": [DesiredFile("/x", 0o600, b"")]}, [], "plain relative"),
        ({"api": [DesiredFile("a//b", 0o600, b"")]}, [], "plain relative"),
        ({"api": [DesiredFile(MARKER, 0o600, b"")]}, [], "marker"),
        ({"api": [DesiredFile("a", 0o600, b""), DesiredFile("a", 0o600, b"x")]}, [], "twice"),
        ({"api": [DesiredFile("a", 0o600, b""), DesiredFile("a/b", 0o600, b"x")]}, [], "a file and a directory"),
        ({"linked": []}, [], "a link or a file"),
        ({"file": []}, [], "a link or a file"),
    ],
)
def test_unsafe_input_is_rejected_before_any_change(
    tmp_path: Path, enabled: dict[str, Any], disabled: list[str], words: str
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/linked").symlink_to(tmp_path)
    (tmp_path / "root/file").write_text("x")
    before = snapshot(tmp_path)
    with pytest.raises(DirectoryError, match=words):
        run(tmp_path / "root", {"good": FILES["api"], **enabled}, disabled)
    assert snapshot(tmp_path) == before


def test_owner_and_group_are_set(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change the owner of files")
    directory_sync.reconcile(tmp_path / "root", FILES, [], 12, 34, False)
    for path in (tmp_path / "root", *(tmp_path / "root").rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (12, 34), path
    outcome = directory_sync.reconcile(tmp_path / "root", FILES, [], 12, 35, False)
    assert {change.what for change in outcome.changes} == {"permissions"}
    assert directory_sync.reconcile(tmp_path / "root", FILES, [], 12, 35, False).changes == []


def test_digest_depends_on_path_mode_and_content_only() -> None:
    one, two = DesiredFile("a", 0o600, b"x"), DesiredFile("b", 0o600, b"y")
    base = directory_sync.digest([one, two])
    assert directory_sync.digest([two, one]) == base
    assert len(base) == 64
    variants = [
        [one],
        [one, DesiredFile("b", 0o640, b"y")],
        [one, DesiredFile("c", 0o600, b"y")],
        [one, DesiredFile("b", 0o600, b"z")],
        [DesiredFile("a", 0o600, b"y"), DesiredFile("b", 0o600, b"x")],
    ]
    assert len({base, *(directory_sync.digest(files) for files in variants)}) == 6

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Synchronize the directories of services below a root directory with their desired files."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ansible_collections.qinling.kolla.plugins.module_utils._config.atomic_write import replace

# Distinguishes a directory of this collection from a directory of the same name that other software, such as Kolla
# Ansible, manages: only a directory with the marker is ever removed.
MARKER = ".qinling.kolla"
MARKER_TEXT = b"The collection qinling.kolla keeps this directory: files of others are removed from it.\n"
DIRECTORY_MODE = 0o770
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class DirectoryError(Exception):
    """A directory on the host is not safe to change; the message contains the reason and the remedy."""


@dataclass(frozen=True)
class DesiredFile:
    """A desired file below a service's directory."""

    path: str
    mode: int
    content: bytes
    secret: bool = False


@dataclass
class Change:
    """A changed file or directory: the kind of change, and the content before and after (None: the file is absent)."""

    path: str
    what: str
    before: bytes | None = None
    after: bytes | None = None
    secret: bool = False


@dataclass
class Outcome:
    """The changes of a run, and the directories that it left alone because they have no marker."""

    changes: list[Change] = field(default_factory=list)
    retained: list[str] = field(default_factory=list)


def identity(name: str | None, kind: str) -> int:
    """Return the number of a user or group, given by name or number; -1 if no name is given.

    `kind` is "user" or "group". Raise KeyError if the name does not exist.
    """
    if not name:
        return -1
    if name.isdigit():
        return int(name)
    return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid


def digest(files: list[DesiredFile]) -> str:
    """Return the SHA-256 of a service's files: path, mode and content of each, ordered by path."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda item: item.path):
        path = file.path.encode()
        total.update(b"%d %o %d\n" % (len(path), file.mode, len(file.content)))
        total.update(path + b"\n" + file.content + b"\n")
    return total.hexdigest()


def name_problem(service: str) -> str:
    """Return why a service's name cannot be the name of a directory; empty if it can."""
    return "" if _SERVICE_NAME.fullmatch(service) else f"{service!r} is not a valid name for a service's directory"


def path_problem(path: str) -> str:
    """Return why a path below a service's directory is invalid; empty if it is valid."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or str(pure) != path or "\0" in path or path == ".":
        return f"{path!r} is not a plain relative path"
    if path == MARKER or path.startswith(f"{MARKER}/"):
        return f"{MARKER} is the name of the marker itself"
    return ""


def reconcile(
    root: Path, enabled: dict[str, list[DesiredFile]], disabled: list[str], uid: int, gid: int, check: bool
) -> Outcome:
    """Synchronize the directories of `enabled` services below `root` with their files; remove those of `disabled`.

    `uid` and `gid` are numbers; -1 leaves the owner or group unchanged. With `check`, report changes without making
    them. Raise DirectoryError before the first change if a directory is not safe to change.
    """
    problems = [name_problem(name) for name in [*enabled, *disabled]]
    problems += [path_problem(file.path) for files in enabled.values() for file in files]
    for name, files in enabled.items():
        paths = [file.path for file in files]
        parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        problems += [
            f"{name}/{path} is defined twice, or as a file and a directory"
            for path in sorted(set(paths))
            if paths.count(path) > 1 or path in parents
        ]
    if root.exists() and not root.is_dir():
        problems.append(f"{root} is not a directory; remove it or set another root")
    for name in enabled:
        top = root / name
        if top.is_symlink() or (top.exists() and not top.is_dir()):
            problems.append(f"{top} is a link or a file; expected a directory; remove it")
    if any(problems):
        raise DirectoryError("\n".join(problem for problem in problems if problem))

    worker = _Worker(uid, gid, check)
    if enabled:
        if not root.is_dir():
            worker.create_root(root)
        for name, files in sorted(enabled.items()):
            worker.service(root / name, files)
    for name in sorted(disabled):
        worker.remove_service(root / name)
    return worker.outcome


class _Worker:
    """One run: its owner, check mode and outcome."""

    def __init__(self, uid: int, gid: int, check: bool) -> None:
        self.uid = uid
        self.gid = gid
        self.check = check
        self.outcome = Outcome()
        self._removed: set[Path] = set()

    def would_be_removed(self, path: Path) -> bool:
        """Return whether a path, or one of its parents, exists only because check mode did not remove it."""
        return self.check and not self._removed.isdisjoint([path, *path.parents])

    def create_root(self, root: Path) -> None:
        missing = [path for path in (root, *root.parents) if not path.exists()]
        for path in reversed(missing):
            self.directory(path, 0o755 if path != root else DIRECTORY_MODE)

    def service(self, top: Path, files: list[DesiredFile]) -> None:
        present = top.is_dir()
        self.directory(top, DIRECTORY_MODE)
        desired = {PurePosixPath(item.path): item for item in files}
        directories = {parent for path in desired for parent in path.parents if parent.parts}
        # The marker comes first, so that the leftovers of an interrupted run are recognized.
        if _read(top / MARKER) != MARKER_TEXT:
            if present:
                self.outcome.changes.append(Change(str(top), "adopted"))
            if not self.check:
                self.write(top / MARKER, DesiredFile(MARKER, 0o600, MARKER_TEXT))
        self.remove_stale(top, set(desired) | {PurePosixPath(MARKER)}, directories)
        for directory in sorted(directories):
            self.directory(top / directory, DIRECTORY_MODE)
        for _path, item in sorted(desired.items()):
            self.file(top, item)

    def remove_stale(self, top: Path, files: set[PurePosixPath], directories: set[PurePosixPath]) -> None:
        """Remove files and directories that are not desired, and links or files in place of a desired directory."""
        if not top.is_dir():
            return
        for folder, subfolders, names in os.walk(top, followlinks=False):
            for name in sorted([*subfolders, *names]):
                path = Path(folder, name)
                relative = PurePosixPath(path.relative_to(top).as_posix())
                real_directory = path.is_dir() and not path.is_symlink()
                if real_directory and relative not in directories:
                    self.remove_directory(path)
                elif not real_directory and relative not in files:
                    self.remove_file(path)
            subfolders[:] = [
                name
                for name in subfolders
                if PurePosixPath(Path(folder, name).relative_to(top).as_posix()) in directories
                and not Path(folder, name).is_symlink()
            ]

    def remove_service(self, top: Path) -> None:
        if top.is_symlink() or not top.is_dir():
            if top.is_symlink() or top.exists():
                self.outcome.retained.append(str(top))
        elif (top / MARKER).is_file():
            self.remove_directory(top)
        else:
            self.outcome.retained.append(str(top))

    def remove_directory(self, path: Path) -> None:
        for folder, subfolders, names in os.walk(path, followlinks=False):
            links = [name for name in subfolders if Path(folder, name).is_symlink()]
            for name in sorted(names + links):
                if name != MARKER:
                    self.remove_file(Path(folder, name))
        self._removed.add(path)
        self.outcome.changes.append(Change(str(path), "removed"))
        if not self.check:
            # rmtree does not follow links.
            shutil.rmtree(path)

    def remove_file(self, path: Path) -> None:
        self._removed.add(path)
        self.outcome.changes.append(Change(str(path), "removed", before=_read(path)))
        if not self.check:
            path.unlink()

    def directory(self, path: Path, mode: int) -> None:
        present = path.is_dir() and not path.is_symlink() and not self.would_be_removed(path)
        if not present:
            self.outcome.changes.append(Change(str(path), "created"))
            if not self.check:
                path.mkdir(mode=0o700)
                os.chown(path, self.uid, self.gid)
                path.chmod(mode)
        elif self.differs(path, mode):
            self.outcome.changes.append(Change(str(path), "permissions"))
            if not self.check:
                os.chown(path, self.uid, self.gid)
                path.chmod(mode)

    def differs(self, path: Path, mode: int) -> bool:
        status = path.lstat()
        return (
            stat.S_IMODE(status.st_mode) != mode
            or self.uid not in (-1, status.st_uid)
            or self.gid not in (-1, status.st_gid)
        )

    def file(self, top: Path, desired: DesiredFile) -> None:
        path = top / desired.path
        before = None if self.would_be_removed(path) else _read(path)
        if before != desired.content:
            what = "created" if before is None else "changed"
            self.outcome.changes.append(Change(str(path), what, before, desired.content, desired.secret))
            if not self.check:
                self.write(path, desired)
        elif self.differs(path, desired.mode):
            self.outcome.changes.append(Change(str(path), "permissions"))
            if not self.check:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)
                path.chmod(desired.mode)

    def write(self, path: Path, desired: DesiredFile) -> None:
        replace(path, desired.content, f"{MARKER}-", desired.mode, (self.uid, self.gid))


def _read(path: Path) -> bytes | None:
    """Return the content of a regular file; None if the path is not a regular file. Links are not followed."""
    if path.is_symlink() or not path.is_file():
        return None
    return path.read_bytes()

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Reconciles the directories of services below one root with the files that are wanted in them.

Every function takes `check`: with it, everything is looked at and nothing is changed.
"""

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

# Tells a directory that was made here from one of the same name that something else, Kolla Ansible for
# instance, looks after: only a directory with the marker is ever removed.
MARKER = ".qinling.kolla"
MARKER_TEXT = b"The collection qinling.kolla keeps this directory: files of others are removed from it.\n"
DIRECTORY_MODE = 0o770
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class TreeError(Exception):
    """What is on the host is not safe to work on; the message says what and what to do."""


@dataclass(frozen=True)
class WantedFile:
    """A file below a service's directory."""

    path: str
    mode: int
    content: bytes
    secret: bool = False


@dataclass
class Change:
    """One file that was changed: what happened, and its content before and after (none: there was no such file)."""

    path: str
    what: str
    before: bytes | None = None
    after: bytes | None = None
    secret: bool = False


@dataclass
class Outcome:
    """What a run did."""

    changes: list[Change] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def identity(name: str | None, kind: str) -> int:
    """Takes the name or number of a user or group (or none), returns the number, -1 for none."""
    if not name:
        return -1
    if name.isdigit():
        return int(name)
    return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid


def digest(files: list[WantedFile]) -> str:
    """Takes a service's files, returns the SHA-256 over path, mode and content of each, in order of path."""
    total = hashlib.sha256()
    for wanted in sorted(files, key=lambda item: item.path):
        path = wanted.path.encode()
        total.update(b"%d %o %d\n" % (len(path), wanted.mode, len(wanted.content)))
        total.update(path + b"\n" + wanted.content + b"\n")
    return total.hexdigest()


def name_problem(service: str) -> str:
    """Takes a service's name, returns why it can not be a directory's name, or nothing."""
    return "" if _SERVICE_NAME.fullmatch(service) else f"{service!r} is not a name for a service's directory"


def path_problem(path: str) -> str:
    """Takes a file's path below a service's directory, returns why it is not acceptable, or nothing."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or str(pure) != path or "\0" in path or path == ".":
        return f"{path!r} is not a plain relative path"
    if path == MARKER or path.startswith(f"{MARKER}/"):
        return f"{MARKER} is the name of the marker itself"
    return ""


def reconcile(
    root: Path, enabled: dict[str, list[WantedFile]], disabled: list[str], uid: int, gid: int, check: bool
) -> Outcome:
    """Makes the directories of `enabled` services below `root` hold exactly their files; removes `disabled` ones.

    Takes owner and group as numbers, -1 for leaving them. Returns every change, made or (with `check`) to be made.
    Raises TreeError before anything is changed when a directory is not safe to work on.
    """
    problems = [name_problem(name) for name in [*enabled, *disabled]]
    problems += [path_problem(wanted.path) for files in enabled.values() for wanted in files]
    for name, files in enabled.items():
        paths = [wanted.path for wanted in files]
        parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        problems += [
            f"{name}/{path} is wanted twice, or as a file and a directory"
            for path in sorted(set(paths))
            if paths.count(path) > 1 or path in parents
        ]
    if root.exists() and not root.is_dir():
        problems.append(f"{root} is not a directory; remove it or set another root")
    for name in enabled:
        top = root / name
        if top.is_symlink() or (top.exists() and not top.is_dir()):
            problems.append(f"{top} is not a directory of its own (a link or a file); remove it")
    if any(problems):
        raise TreeError("\n".join(problem for problem in problems if problem))

    worker = _Worker(uid, gid, check)
    if enabled:
        if not root.is_dir():
            worker.make_parents(root)
        for name, files in sorted(enabled.items()):
            worker.service(root / name, files)
    for name in sorted(disabled):
        worker.remove_service(root / name)
    return worker.outcome


class _Worker:
    """Carries owner, check mode and the outcome through one run."""

    def __init__(self, uid: int, gid: int, check: bool) -> None:
        self.uid = uid
        self.gid = gid
        self.check = check
        self.outcome = Outcome()
        self._gone: set[Path] = set()

    def gone(self, path: Path) -> bool:
        """Takes a path, returns whether it, or a directory on the way to it, only is still there in check mode."""
        return self.check and not self._gone.isdisjoint([path, *path.parents])

    def make_parents(self, root: Path) -> None:
        missing = [path for path in (root, *root.parents) if not path.exists()]
        for path in reversed(missing):
            self.directory(path, 0o755 if path != root else DIRECTORY_MODE)

    def service(self, top: Path, files: list[WantedFile]) -> None:
        present = top.is_dir()
        self.directory(top, DIRECTORY_MODE)
        wanted = {PurePosixPath(item.path): item for item in files}
        directories = {parent for path in wanted for parent in path.parents if parent.parts}
        # The marker comes first, so that whatever an interrupted run leaves behind is known to be ours.
        if _read(top / MARKER) != MARKER_TEXT:
            if present:
                self.outcome.changes.append(Change(str(top), "adopted"))
            if not self.check:
                self.write(top / MARKER, WantedFile(MARKER, 0o600, MARKER_TEXT))
        self.remove_stale(top, set(wanted) | {PurePosixPath(MARKER)}, directories)
        for directory in sorted(directories):
            self.directory(top / directory, DIRECTORY_MODE)
        for _path, item in sorted(wanted.items()):
            self.file(top, item)

    def remove_stale(self, top: Path, files: set[PurePosixPath], directories: set[PurePosixPath]) -> None:
        """Removes what is not wanted, and what is in the way of it: a link or file where a directory has to be."""
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
                self.outcome.kept.append(str(top))
        elif (top / MARKER).is_file():
            self.remove_directory(top)
        else:
            self.outcome.kept.append(str(top))

    def remove_directory(self, path: Path) -> None:
        for folder, subfolders, names in os.walk(path, followlinks=False):
            links = [name for name in subfolders if Path(folder, name).is_symlink()]
            for name in sorted(names + links):
                if name != MARKER:
                    self.remove_file(Path(folder, name))
        self._gone.add(path)
        self.outcome.changes.append(Change(str(path), "removed"))
        if not self.check:
            # rmtree does not follow links. The marker goes with the directory, last of all files.
            shutil.rmtree(path)

    def remove_file(self, path: Path) -> None:
        self._gone.add(path)
        self.outcome.changes.append(Change(str(path), "removed", before=_read(path)))
        if not self.check:
            path.unlink()

    def directory(self, path: Path, mode: int) -> None:
        present = path.is_dir() and not path.is_symlink() and not self.gone(path)
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

    def file(self, top: Path, wanted: WantedFile) -> None:
        path = top / wanted.path
        before = None if self.gone(path) else _read(path)
        if before != wanted.content:
            what = "created" if before is None else "changed"
            self.outcome.changes.append(Change(str(path), what, before, wanted.content, wanted.secret))
            if not self.check:
                self.write(path, wanted)
        elif self.differs(path, wanted.mode):
            self.outcome.changes.append(Change(str(path), "permissions"))
            if not self.check:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)
                path.chmod(wanted.mode)

    def write(self, path: Path, wanted: WantedFile) -> None:
        replace(path, wanted.content, f"{MARKER}-", wanted.mode, (self.uid, self.gid))


def _read(path: Path) -> bytes | None:
    """Takes a path, returns the content of the regular file there, or none; a link is not followed."""
    if path.is_symlink() or not path.is_file():
        return None
    return path.read_bytes()

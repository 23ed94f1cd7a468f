# SPDX-License-Identifier: Apache-2.0
"""Function packages: downloaded from Qinling's API, checked, unpacked, and stored by content.

The engine may send the current package's checksum, or state that a package never changes: a worker with this package
sends no request. Otherwise every execution queries the API. If the API supports entity tags, an unchanged package is a
304; else it is downloaded again and compared by hash. A changed package is therefore always detected, and the contents
of a directory always match the hash in its name.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import re
import shutil
import stat
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from qinling_runtime import tls
from qinling_runtime.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class PackageError(Exception):
    """The package cannot be used; the text contains the reason and no secret."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Handler that follows no redirects, which would send the token to another host."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


def check_name(value: object, what: str) -> str:
    """Return ``value`` as text if it is valid in a directory's name, else raise PackageError."""
    text = str(value)
    if not _NAME.fullmatch(text):
        raise PackageError(f"{what} {text[:128]!r} is not a valid identifier")
    return text


def unpack(source: IO[bytes], target: Path, *, max_files: int, max_bytes: int) -> None:
    """Unpack the zip archive ``source`` into the directory ``target``; raise PackageError if it is unsafe."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > max_files:
                raise PackageError(f"the package contains {len(members)} entries, more than {max_files}")
            size = sum(member.file_size for member in members)
            if size > max_bytes:
                raise PackageError(f"the package unpacks to {size} bytes, more than {max_bytes}")
            for member in members:
                _unpack_member(archive, member, target)
    except PackageError:
        raise
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise PackageError(f"the package is not a usable zip archive: {error}") from error


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    # zipfile would silently rename such members, which indicate an attack or an error.
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or "\0" in member.filename:
        raise PackageError(f"the package contains an entry outside its directory: {member.filename!r}")
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise PackageError(f"the package contains a link or a special file: {member.filename!r}")
    path = target / name
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    path.chmod(0o755 if mode & 0o111 else 0o644)


def download(url: str, token: str | None, etag: str | None, settings: Settings) -> tuple[bytes, str | None] | None:
    """Return the package at ``url`` and its entity tag, or None if ``etag`` is still valid."""
    if not url.startswith(("http://", "https://")):
        raise PackageError("the download address is neither http nor https")
    request = urllib.request.Request(url, headers={"Accept": "*/*"})
    if token:
        request.add_unredirected_header("X-Auth-Token", token)
    if etag:
        request.add_header("If-None-Match", etag)
    where = url.partition("?")[0]
    failed = f"Failed to download function package from {where}, error"
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), _NoRedirect, urllib.request.HTTPSHandler(context=tls.context(settings.verify))
    )
    try:
        with opener.open(request, timeout=settings.download_timeout) as response:
            data = response.read(settings.max_package + 1)
            length = response.headers.get("Content-Length", "")
            found = response.headers.get("ETag")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304 and etag:
            return None
        raise PackageError(
            f"Failed to download function package from {where}, error: HTTP status {error.code}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise PackageError(f"{failed}: {reason}") from None
    if len(data) > settings.max_package:
        raise PackageError(f"the package at {where} is larger than {settings.max_package} bytes")
    if length.isdecimal() and int(length) != len(data):
        raise PackageError(f"{failed}: the response is incomplete")
    return data, found


@dataclass(frozen=True)
class Expected:
    """What the engine knows about the package of an execution; empty if unknown."""

    md5: str | None = None
    final: bool = False


NOTHING = Expected()


@dataclass
class _Entry:
    """The stored package of one (function, version, URL)."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    etag: str | None = None
    path: Path | None = None
    md5: str | None = None

    def current(self, expected: Expected) -> Path | None:
        """Return the directory of the expected package, None unless it is certainly current."""
        path, md5 = self.path, self.md5
        if path and (expected.final or (expected.md5 and expected.md5 == md5)) and path.is_dir():
            return path
        return None


class PackageStore:
    """The unpacked packages of this worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = Path(settings.packages)
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._users: dict[Path, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def use(
        self, function_id: object, version: object, url: str, token: str | None, expected: Expected = NOTHING
    ) -> Iterator[Path]:
        """Yield the directory of the current package, which is not removed while the block runs."""
        name = f"{check_name(function_id, 'function_id')}-{check_name(version, 'function_version')}"
        path = self._current(name, url, token, expected)
        try:
            yield path
        finally:
            with self._lock:
                self._users[path] -= 1

    def _current(self, name: str, url: str, token: str | None, expected: Expected) -> Path:
        function_id, _unused, version = name.rpartition("-")
        with self._lock:
            entry = self._entries.setdefault((function_id, version, url), _Entry())
            if path := entry.current(expected):
                self._users[path] = self._users.get(path, 0) + 1
                return path
        # One download at a time per package; waiting executions use its result or query the API themselves.
        with entry.lock:
            with self._lock:
                if path := entry.current(expected):
                    self._users[path] = self._users.get(path, 0) + 1
                    return path
            stored = entry.path if entry.path and entry.path.is_dir() else None
            answer = download(url, token, entry.etag if stored else None, self._settings)
            if answer is None and stored:
                path, md5 = stored, entry.md5
            elif answer is None:
                raise PackageError("the API answered 304 to a request without an entity tag")
            else:
                data, entry.etag = answer
                # Of the downloaded package, which may have changed since the engine's request.
                md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
                path = self._root / f"{name}-{hashlib.sha256(data).hexdigest()}"
                if not path.is_dir():
                    self._unpack(data, path)
            with self._lock:
                self._users[path] = self._users.get(path, 0) + 1
                old, entry.path, entry.md5 = entry.path, path, md5
                stale = old if old and old != path and not self._users.get(old) else None
            if stale:
                shutil.rmtree(stale, ignore_errors=True)
            return path

    def _unpack(self, data: bytes, path: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        try:
            unpack(io.BytesIO(data), staging, max_files=self._settings.max_files, max_bytes=self._settings.max_unpacked)
            staging.chmod(0o755)
            staging.rename(path)
        except OSError as error:
            if not path.is_dir():
                raise PackageError(f"the package cannot be unpacked: {error}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

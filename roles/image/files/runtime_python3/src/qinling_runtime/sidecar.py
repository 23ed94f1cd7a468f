# SPDX-License-Identifier: Apache-2.0
"""The sidecar for older runtime images on Kubernetes: POST /download on port 9091 of the pod.

Such a runtime sends {"download_url", "function_id", "token", "unzip"} and then reads the shared folder:
`<function_id>.zip`, and unless "unzip" is false the directory `<function_id>`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from qinling_runtime import packages
from qinling_runtime.server import BadRequestError, JsonHandler, Server
from qinling_runtime.settings import Settings


class Folder:
    """The folder shared by sidecar and runtime."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = Path(settings.packages)
        self._lock = threading.Lock()
        self._tags: dict[tuple[str, str], str | None] = {}
        self._hashes: dict[str, str] = {}

    def fetch(self, fields: dict[str, Any]) -> None:
        """Update the package of ``fields`` in the folder; raise PackageError with the reason of a failure."""
        name = packages.check_name(fields.get("function_id"), "function_id")
        url = str(fields.get("download_url"))
        with self._lock:
            archive, directory = self._root / f"{name}.zip", self._root / name
            complete = archive.is_file() and (directory.is_dir() or not fields.get("unzip", True))
            tag = self._tags.get((name, url)) if complete else None
            answer = packages.download(url, fields.get("token"), tag, self._settings)
            if answer is None:
                return
            data, found = answer
            digest = hashlib.sha256(data).hexdigest()
            if not complete or self._hashes.get(name) != digest:
                self._replace(data, archive, directory if fields.get("unzip", True) else None)
            # The folder now has this version's package, so tags of other versions are invalid.
            self._tags = {key: value for key, value in self._tags.items() if key[0] != name}
            self._tags[name, url] = found
            self._hashes[name] = digest

    def _replace(self, data: bytes, archive: Path, directory: Path | None) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        try:
            if directory:
                fresh = staging / "package"
                fresh.mkdir()
                packages.unpack(
                    io.BytesIO(data),
                    fresh,
                    max_files=self._settings.max_files,
                    max_bytes=self._settings.max_unpacked,
                )
                if directory.exists():
                    directory.rename(staging / "old")
                fresh.rename(directory)
            (staging / "zip").write_bytes(data)
            (staging / "zip").rename(archive)
        except OSError as error:
            raise packages.PackageError(f"the package cannot be stored: {error}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def handler(folder: Folder) -> type[BaseHTTPRequestHandler]:
    """Return the request handler class that serves ``folder``."""

    class Handler(JsonHandler):
        def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
            try:
                body = self.body()
                if self.path != "/download":
                    self.reply(404, b"not found", "text/plain")
                    return
                fields = json.loads(body)
                if not isinstance(fields, dict):
                    raise BadRequestError("the body is not a JSON object")
                folder.fetch(fields)
            except (BadRequestError, ValueError) as error:
                self.reply(400, f"Bad request to the sidecar: {error}".encode(), "text/plain")
            except packages.PackageError as error:
                print(f"download failed: {error}", flush=True)
                self.reply(500, str(error).encode(), "text/plain")
            else:
                self.reply(200, b"downloaded", "text/plain")

    return Handler


def main() -> None:
    """Serve until the process ends."""
    try:
        settings = Settings.from_env(os.environ)
    except ValueError as error:
        sys.exit(str(error))
    address = (settings.sidecar_address, settings.sidecar_port)
    Server(address, handler(Folder(settings)), settings.max_connections).serve_forever()


if __name__ == "__main__":
    main()

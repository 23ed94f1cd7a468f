# SPDX-License-Identifier: Apache-2.0
"""A fake of Qinling's API that serves packages, and a real server with its zygote."""

import http.server
import io
import json
import pathlib
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from qinling_runtime import server
from qinling_runtime.settings import Settings


def archive(files: dict[str, str | bytes]) -> bytes:
    """Return a zip archive of ``files``."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return result.getvalue()


class Api:
    """A server of ``content`` on every path; with ``etag`` it may answer 304."""

    def __init__(self) -> None:
        self.content = b""
        self.etag: str | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sent = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, dict(self.headers)))
                unchanged = outer.etag and self.headers.get("If-None-Match") == outer.etag
                body = b"" if unchanged else outer.content
                outer.sent += len(body)
                self.send_response(304 if unchanged else outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                if outer.etag:
                    self.send_header("ETag", outer.etag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/functions/f?download=true"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api() -> Iterator[Any]:
    result = Api()
    yield result
    result.close()


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> Any:
    packages, scratch = tmp_path / "packages", tmp_path / "scratch"
    packages.mkdir()
    scratch.mkdir()
    return Settings(address="127.0.0.1", packages=str(packages), scratch=str(scratch), max_request=1024 * 1024)


class Worker:
    """A running server, with the requests of Qinling's engine."""

    def __init__(self, settings: Settings, api: Api, token_hash: str = "") -> None:
        self.api = api
        self.executor = server.Executor(settings)
        self.executor.start()
        self.server = server.Server(("127.0.0.1", 0), server.handler(self.executor, token_hash), 64)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def post(self, body: bytes, path: str = "/execute", headers: dict[str, str] | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, body, headers or {})
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def call(self, entry: str = "main.main", given: Any = None, **fields: Any) -> dict[str, Any]:
        body = {
            "execution_id": "e-1",
            "function_id": "f-1",
            "function_version": 0,
            "cpu": 100,
            "memory_size": 64 * 1024 * 1024,
            "input": given,
            "entry": entry,
            "download_url": self.api.url,
            "request_id": "r-1",
            "timeout": 10,
            **fields,
        }
        answer: dict[str, Any] = self.post(json.dumps(body).encode())[1]
        return answer

    def run(self, code: str, entry: str = "main.main", given: Any = None, **fields: Any) -> dict[str, Any]:
        """Run ``code`` as the package's main.py."""
        self.api.content = archive({"main.py": code})
        return self.call(entry, given, **fields)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.executor.close()


@pytest.fixture
def worker(settings: Any, api: Any) -> Iterator[Any]:
    result = Worker(settings, api)
    yield result
    result.close()

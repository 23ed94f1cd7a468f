# SPDX-License-Identifier: Apache-2.0
"""The worker's HTTP server: GET /ping and POST /execute, Qinling's worker protocol.

Qinling's engine sends the request body of /execute (engine/utils.py, get_request_data); the response is
{"output", "duration", "logs", "success"}. Tokens, passwords and input are never logged.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from qinling_runtime import function, packages, processes, zygote
from qinling_runtime.settings import WORKER_TOKEN, WORKER_TOKEN_HASH, Settings

TOKEN_HEADER = "X-Qinling-Worker-Token"
# Import this module's own package even if another one is installed, then restore the order of sys.path.
_ZYGOTE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from qinling_runtime.zygote import main; "
    "sys.path.append(sys.path.pop(0)); main(int(sys.argv[2]))"
)
# Seconds beyond the function's timeout in which a supervisor must kill the tree and answer.
_ANSWER_MARGIN = 20


class BadRequestError(Exception):
    """The request is not valid; the text contains the field and the expected value."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the validated fields of an /execute request; raise BadRequestError with the name of an invalid one."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise BadRequestError("the body is not a JSON object")
    given = fields.get("input") or {}
    if not isinstance(given, dict):
        # Other JSON is the function's only positional argument.
        given = {"__function_input": given}
    entry = fields.get("entry") or "main.main"
    if not isinstance(entry, str) or not all(part.isidentifier() for part in entry.split(".")) or "." not in entry:
        raise BadRequestError("entry must look like module.function")
    for name in ("download_url", "function_id", "execution_id"):
        if not isinstance(fields.get(name), str):
            raise BadRequestError(f"{name} is missing")
    numbers = {}
    for name, default in (("timeout", 5), ("memory_size", 0)):
        value = default if fields.get(name) is None else fields[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise BadRequestError(f"{name} must be a number that is not negative")
        numbers[name] = value
    credentials = {
        name: fields[name]
        for name in ("auth_url", "token", "trust_id", "username", "password")
        if isinstance(fields.get(name), str) and fields[name]
    }
    usable = "auth_url" in credentials and ("token" in credentials or {"username", "password"} <= credentials.keys())
    return {
        **{name: fields[name] for name in ("download_url", "function_id", "execution_id")},
        "version": fields.get("function_version") or 0,
        "entry": entry,
        "input": given,
        "timeout": numbers["timeout"],
        "memory": int(numbers["memory_size"]),
        "token": credentials.get("token"),
        "expected": packages.Expected(
            md5=fields["package_md5"] if isinstance(fields.get("package_md5"), str) else None,
            final=fields.get("package_final") is True,
        ),
        "credentials": credentials if usable else None,
        "request_id": str(fields.get("request_id")),
    }


def answer(output: object, *, success: bool = False, duration: float = 0, logs: str = "") -> dict[str, Any]:
    """Return a worker's response in Qinling's format."""
    return {"output": output, "duration": duration, "logs": logs, "success": success}


class Executor:
    """Runs executions: fetches packages and keeps the zygote alive."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.packages = packages.PackageStore(settings)
        self._env = settings.function_env(os.environ)
        self._lock = threading.Lock()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the zygote before the first execution."""
        with self._lock:
            self._ensure_zygote()

    def close(self) -> None:
        """Stop the zygote and with it every execution."""
        with self._lock:
            if self._control and self._zygote:
                self._control.close()
                self._zygote.wait(timeout=15)
                self._control = self._zygote = None

    def _ensure_zygote(self) -> socket.socket:
        if self._control and self._zygote and self._zygote.poll() is None:
            return self._control
        if self._control:
            self._control.close()
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with far:
            self._zygote = subprocess.Popen(
                [sys.executable, "-I", "-c", _ZYGOTE, str(Path(__file__).parent.parent), str(far.fileno())],
                pass_fds=[far.fileno()],
                env=self._env,
                stdin=subprocess.DEVNULL,
            )
        return self._control

    def _connect_supervisor(self) -> socket.socket:
        """Return a connection to a new supervisor."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with far:
            for last in (False, True):
                with self._lock:
                    try:
                        socket.send_fds(self._ensure_zygote(), [b"x"], [far.fileno()])
                        break
                    except OSError:
                        # The zygote has died since the check in _ensure_zygote.
                        if last or not self._zygote:
                            near.close()
                            raise
                        self._zygote.kill()
                        self._zygote.wait()
        return near

    def execute(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one execution, a request from ``parse``; raise PackageError if its package is not available."""
        settings = self.settings
        with self.packages.use(
            request["function_id"],
            request["version"],
            request["download_url"],
            request["token"],
            request["expected"],
        ) as package:
            scratch = tempfile.mkdtemp(prefix="execution-", dir=settings.scratch)
            try:
                return self._run(request, package, scratch)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, request: dict[str, Any], package: Path, scratch: str) -> dict[str, Any]:
        settings = self.settings
        message = {
            **{name: request[name] for name in ("execution_id", "entry", "input", "timeout", "memory", "credentials")},
            "package": str(package),
            "scratch": scratch,
            "env": self._env,
            "verify": settings.verify,
            "processes": settings.max_processes,
            "max_logs": settings.max_logs,
            "max_output": settings.max_output,
        }
        start = time.monotonic()
        with self._connect_supervisor() as supervisor:
            supervisor.settimeout(request["timeout"] + _ANSWER_MARGIN)
            try:
                zygote.send_message(supervisor, message)
                return zygote.receive_message(supervisor)
            except TimeoutError:
                output = zygote.TIMEOUT
            except (OSError, EOFError, ValueError):
                # Only reached if a function damages its own worker.
                output = function.TOO_MUCH
        return answer(output, duration=round(time.monotonic() - start, 3))


class Server(ThreadingHTTPServer):
    """Threaded server with a limit: further connections are refused, not queued."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], max_threads: int) -> None:
        super().__init__(address, handler)
        self._slots = threading.BoundedSemaphore(max_threads)

    def server_bind(self) -> None:
        # HTTPServer would resolve its own name here, which blocks on networks without a name server.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "worker", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()


class JsonHandler(BaseHTTPRequestHandler):
    """Base of the request handlers: limited bodies, responses with a length, a log without addresses and queries."""

    protocol_version = "HTTP/1.1"
    # Headers and body are sent in two packets: with Nagle's algorithm the second waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    server_version = "qinling-runtime"
    sys_version = ""
    timeout = 60
    max_request = Settings.max_request

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, as /ping is frequent and /execute logs its own line."""

    def body(self) -> bytes:
        """Return the request's body; raise BadRequestError if it is too long or of unknown length."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            raise BadRequestError("Content-Length is missing")
        if int(length) > self.max_request:
            self.close_connection = True
            # A client that is still sending would get a broken connection instead of the response.
            left = min(int(length), 4 * self.max_request)
            while left > 0 and (part := self.rfile.read(min(left, 65536))):
                left -= len(part)
            raise BadRequestError(f"the body is larger than {self.max_request} bytes")
        data = self.rfile.read(int(length))
        if len(data) != int(length):
            self.close_connection = True
            raise BadRequestError("the body is incomplete")
        return data

    def reply(self, status: int, content: bytes, content_type: str = "application/json") -> None:
        """Send a complete response."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def handler(executor: Executor, token_hash: str) -> type[BaseHTTPRequestHandler]:
    """Return the request handler class for ``executor``; with a ``token_hash``, /execute requires that token."""

    class Handler(JsonHandler):
        max_request = executor.settings.max_request

        def do_GET(self) -> None:
            if self.path == "/ping":
                self.reply(200, b"pong", "text/plain")
            else:
                self.reply(404, b"{}")

        def do_POST(self) -> None:
            status, result = self._execute()
            self.reply(status, json.dumps(result).encode())

        def _execute(self) -> tuple[int, dict[str, Any]]:
            try:
                body = self.body()
            except BadRequestError as error:
                return 400, answer(f"Bad request to the worker: {error}")
            if self.path != "/execute":
                return 404, answer("The worker has no such endpoint")
            given = hashlib.sha256(self.headers.get(TOKEN_HEADER, "").encode()).hexdigest()
            if token_hash and not hmac.compare_digest(given, token_hash):
                return 403, answer("The worker refuses requests without its token")
            try:
                request = parse(body)
                result = executor.execute(request)
            except BadRequestError as error:
                return 400, answer(f"Bad request to the worker: {error}")
            except packages.PackageError as error:
                return 500, answer(str(error))
            except OSError as error:
                return 500, answer(f"The worker cannot run the function: {error}")
            print(
                f"request_id={request['request_id'][:64]!r} execution_id={request['execution_id'][:64]!r}"
                f" success={result['success']} duration={result['duration']}",
                flush=True,
            )
            return 200, result

    return Handler


def serve(settings: Settings, token_hash: str) -> Server:
    """Return a bound server with a running zygote; the caller calls its serve_forever."""
    executor = Executor(settings)
    executor.start()
    return Server((settings.address, settings.port), handler(executor, token_hash), settings.max_connections)


def main() -> None:
    """Serve until SIGTERM."""
    try:
        settings = Settings.from_env(os.environ)
    except ValueError as error:
        sys.exit(str(error))
    token = os.environ.pop(WORKER_TOKEN, "")
    token_hash = hashlib.sha256(token.encode()).hexdigest() if token else os.environ.get(WORKER_TOKEN_HASH, "").lower()
    # Functions run as the same user and must not read the token from this process.
    processes.hide_memory(True)
    processes.forbid_new_privileges()
    server = serve(settings, token_hash)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"Listening on {settings.address}:{settings.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Forks executions, which saves the start of an interpreter.

Server -> zygote -> supervisor -> function. The zygote has one thread and few modules. For each execution it forks a
supervisor, which adopts all orphans below it, monitors time and memory, collects output, and finally kills the rest of
the tree. The zygote has no secrets: the server starts it with a cleaned environment and sends requests directly to the
supervisor.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
import traceback
from typing import Any

from qinling_runtime import function, processes

TIMEOUT = "Function execution timeout."
_SIZE = struct.Struct("!Q")
_MEMORY_CHECK_SECONDS = 0.25


def send_message(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send ``message`` as JSON, preceded by its length."""
    data = json.dumps(message).encode()
    connection.sendall(_SIZE.pack(len(data)) + data)


def receive_message(connection: socket.socket) -> dict[str, Any]:
    """Return one message; raise EOFError if the peer has closed the connection."""
    (size,) = _SIZE.unpack(_receive(connection, _SIZE.size))
    message: dict[str, Any] = json.loads(_receive(connection, size))
    return message


def _receive(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("the peer has closed the connection")
        parts += part
    return bytes(parts)


class OutputBuffer:
    """The first ``limit`` bytes from a pipe; the rest is read and dropped, so that the writer never blocks."""

    def __init__(self, source: int, limit: int) -> None:
        os.set_blocking(source, False)
        self.source = source
        self.limit = limit
        self.data = bytearray()
        self.dropped = 0

    def read(self) -> bool:
        """Read all available bytes; return False at the end of the stream."""
        while True:
            try:
                part = os.read(self.source, 65536)
            except BlockingIOError:
                return True
            if not part:
                return False
            room = max(0, self.limit - len(self.data))
            self.data += part[:room]
            self.dropped += len(part) - len(part[:room])

    def text(self) -> str:
        """Return the text, cut between characters, with a note if bytes were dropped."""
        note = f"\n... {self.dropped} more bytes were dropped\n" if self.dropped else ""
        return bytes(self.data).decode(errors="replace") + note


class Supervisor:
    """The supervisor of one execution."""

    def __init__(self, request: dict[str, Any], connection: socket.socket) -> None:
        self.request = request
        self.connection = connection
        self.killed_for: str | None = None
        self.status: int | None = None

    def run(self) -> dict[str, Any]:
        """Run the function and return {"output", "duration", "logs", "success"}."""
        wake, wake_end = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wake_end, False)
        log, log_end = os.pipe()
        result, result_end = os.pipe()
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_unused: None)
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            function.run(self.request, log_end, result_end)
        os.close(log_end)
        os.close(result_end)
        logs = OutputBuffer(log, self.request["max_logs"])
        # One byte more than allowed, for the function's own message about its size.
        answer = OutputBuffer(result, self.request["max_output"] + 1)
        self._watch(pid, start, wake, [logs, answer])
        duration = round(time.monotonic() - start, 3)
        gone = processes.kill_descendants(os.getpid())
        for each in (logs, answer):
            each.read()
        return {**self._result(answer, gone), "duration": duration, "logs": logs.text()}

    def _watch(self, pid: int, start: float, wake: int, streams: list[OutputBuffer]) -> None:
        """Wait until the function has ended or must be killed."""
        deadline = start + self.request["timeout"]
        connection = self.connection.fileno()
        next_check = start + _MEMORY_CHECK_SECONDS
        base = processes.memory_of(os.getpid(), "RssAnon")
        open_streams = {stream.source: stream for stream in streams}
        while self.status is None and self.killed_for is None:
            now = time.monotonic()
            if now >= deadline:
                self.killed_for = TIMEOUT
                return
            if now >= next_check:
                next_check = now + _MEMORY_CHECK_SECONDS
                if self._memory_exceeded(base):
                    self.killed_for = function.TOO_MUCH
                    return
            sources = [*open_streams, wake, connection]
            ready, _unused, _unused = select.select(sources, [], [], max(0.0, min(deadline, next_check) - now))
            for source in ready:
                if source == connection:
                    # Nothing follows the request, so the server has closed the connection.
                    self.killed_for = "Function execution was aborted."
                elif source == wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                    self._reap(pid)
                elif not open_streams[source].read():
                    del open_streams[source]

    def _reap(self, pid: int) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                found, status = os.waitpid(-1, os.WNOHANG)
                if not found:
                    return
                if found == pid:
                    self.status = status

    def _memory_exceeded(self, base: int) -> bool:
        # The function's own limit applies to each process; this one to their sum.
        limit: int = self.request["memory"]
        if limit <= 0:
            return False
        tree = processes.descendants(os.getpid())
        used = sum(max(0, processes.memory_of(each, "RssAnon") - base) for each in tree)
        return used > limit + processes.SESSION_ROOM

    def _result(self, answer: OutputBuffer, gone: bool) -> dict[str, Any]:
        if self.killed_for:
            output = self.killed_for
        elif self.status != 0 or not gone:
            output = function.TOO_MUCH
            if self.status is not None and os.WIFEXITED(self.status) and os.WEXITSTATUS(self.status):
                output = f"Function process ended with status {os.WEXITSTATUS(self.status)}"
        else:
            try:
                result = json.loads(bytes(answer.data))
                return {"output": result["output"], "success": bool(result["success"])}
            except (ValueError, KeyError, TypeError, RecursionError):
                output = "Function process ended without an answer"
        return {"output": output, "success": False}


def _supervise(connection: socket.socket) -> None:
    processes.adopt_orphans()
    os.setsid()
    request = receive_message(connection)
    send_message(connection, Supervisor(request, connection).run())


class Zygote:
    """Receives connections from the server and forks a supervisor for each."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.supervisors: set[int] = set()

    def serve(self) -> None:
        """Serve until the server has closed its connection, then kill every execution."""
        control = self.control.fileno()
        wake, wake_end = os.pipe()
        for end in (wake, wake_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_unused: None)
        while True:
            ready, _unused, _unused = select.select([control, wake], [], [])
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
                self._reap()
            if control in ready:
                numbers = socket.recv_fds(self.control, 1, 1)[1]
                if not numbers:
                    break
                self._fork(numbers[0], wake, wake_end)
        processes.kill_descendants(os.getpid())

    def _fork(self, number: int, *inherited: int) -> None:
        pid = os.fork()
        if pid:
            os.close(number)
            self.supervisors.add(pid)
            return
        try:
            signal.set_wakeup_fd(-1)
            self.control.close()
            for each in inherited:
                os.close(each)
            _supervise(socket.socket(fileno=number))
        except EOFError:
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, _unused = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self.supervisors.discard(pid)
        # Other children of this process have lost their supervisor, which a function may have killed.
        for pid in processes.children(os.getpid()) - self.supervisors:
            processes.kill_all({pid} | processes.descendants(pid), signal.SIGKILL)


def main(number: int) -> None:
    """Serve on the inherited socket ``number``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes.adopt_orphans()
    processes.hide_memory(True)
    Zygote(socket.socket(fileno=number)).serve()

# SPDX-License-Identifier: Apache-2.0
"""One execution of a function, in its own process."""

# pathlib would be one more import in the zygote.
# ruff: noqa: SIM115

from __future__ import annotations

import _thread
import contextlib
import errno
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from qinling_runtime import processes

TOO_MUCH = "Function execution failed because of too much resource consumption"
# A thread's stack counts against the memory limit when it is created; the default of 8 MiB exceeds small limits.
_THREAD_STACK = 2 * 1024 * 1024


class Context(dict[str, Any]):
    """The `context` argument of a function. Its os_session is created on first read: the import takes 0.2 s."""

    def __init__(self, credentials: dict[str, str] | None, verify: str) -> None:
        super().__init__(os_session=None)
        self._credentials = credentials
        self._verify = verify

    def _fill(self) -> None:
        if self._credentials:
            credentials, self._credentials = self._credentials, None
            before = processes.memory_of(os.getpid(), "VmData")
            processes.extend_memory(processes.SESSION_ROOM)
            session = importlib.import_module("qinling_runtime.session")
            self["os_session"] = session.build(credentials, self._verify)
            grown = processes.memory_of(os.getpid(), "VmData") - before
            processes.extend_memory(min(0, grown - processes.SESSION_ROOM))

    def __getitem__(self, key: str) -> Any:
        if key == "os_session":
            self._fill()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - dict.get would bypass __getitem__

    # Iteration and copies include the session. The iterator also prevents CPython's shortcut past __getitem__ in
    # `dict(context)` and `**context`.
    def __iter__(self) -> Iterator[str]:
        self._fill()
        return super().__iter__()

    def keys(self) -> Any:
        self._fill()
        return super().keys()

    def values(self) -> Any:
        self._fill()
        return super().values()

    def items(self) -> Any:
        self._fill()
        return super().items()

    def copy(self) -> dict[str, Any]:
        self._fill()
        return dict(super().items())


def exhausted(error: BaseException) -> bool:
    """Return whether ``error`` means that a limit was reached, as opposed to a fault in the function."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.EAGAIN, errno.ENOMEM)
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def takes_context(function: Callable[..., Any]) -> bool:
    """Return whether ``function`` accepts `context`; True if unknown, as Qinling always passed it."""
    code = getattr(function, "__code__", None)
    if code is None:
        return True
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return "context" in names or bool(code.co_flags & 0x08)


def _call(request: dict[str, Any]) -> Any:
    module_name, _unused, method = request["entry"].rpartition(".")
    arguments = dict(request["input"])
    positional = arguments.pop("__function_input", None)
    function = getattr(importlib.import_module(module_name), method)
    if takes_context(function):
        arguments["context"] = Context(request.get("credentials"), request["verify"])
    return function(positional, **arguments) if positional else function(**arguments)


def _print_trace(error: BaseException) -> None:
    """Print the traceback of ``error`` from the function's own code on."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace, limit=-50)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """Call the function and return {"success", "output"}."""
    try:
        output = _call(request)
        # Wait for threads that are not daemons, as the interpreter does at its end.
        if threading := sys.modules.get("threading"):
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
    except SystemExit as error:
        return {"success": False, "output": f"Function ended itself by exit({error.code!r})"}
    except BaseException as error:
        # Reporting the error needs memory.
        processes.extend_memory(processes.SESSION_ROOM)
        _print_trace(error)
        return {"success": False, "output": TOO_MUCH if exhausted(error) else str(error) or type(error).__name__}
    return {"success": True, "output": output}


def encode(answer: dict[str, Any], limit: int) -> bytes:
    """Return ``answer`` as JSON; an output that is not JSON or exceeds ``limit`` bytes becomes a failure."""
    try:
        data = json.dumps(answer, allow_nan=False).encode()
    except MemoryError:
        return json.dumps({"success": False, "output": TOO_MUCH}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        text = f"Function output of type {type(answer['output']).__name__} cannot be represented as JSON: {error}"
        return json.dumps({"success": False, "output": text}).encode()
    if len(data) > limit:
        text = f"Function output is {len(data)} bytes as JSON, more than {limit}"
        return json.dumps({"success": False, "output": text}).encode()
    return data


def run(request: dict[str, Any], log: int, result: int) -> None:
    """Run the function in the calling process, write the result to ``result`` and exit.

    ``request``: entry, input, package, scratch, memory, processes, env, verify, credentials, max_output, execution_id.
    ``log`` and ``result`` are file descriptors.
    """
    status = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with open(os.devnull, "rb") as null:
            os.dup2(null.fileno(), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        last = max(log, result)
        for number in range(3, last):
            if number != result:
                with contextlib.suppress(OSError):
                    os.close(number)
        if last != result:
            os.close(last)
        os.closerange(last + 1, 1024)
        sys.stdout, sys.stderr = (
            open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
            for number in (1, 2)
        )
        # Under memory pressure the kernel kills functions, not the server.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        os.environ.clear()
        os.environ.update(request["env"], HOME=request["scratch"], TMPDIR=request["scratch"])
        os.chdir(request["scratch"])
        _thread.stack_size(_THREAD_STACK)
        processes.forbid_new_privileges()
        processes.hide_memory(False)
        sys.path.insert(0, request["package"])
        processes.limit_myself(request["memory"], request["processes"])

        print(f"Start execution: {request['execution_id']}")
        answer = _answer(request)
        print(f"Finished execution: {request['execution_id']}")
        data = encode(answer, request["max_output"])
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with open(result, "wb") as sink:
            sink.write(data)
        status = 0
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        os._exit(status)

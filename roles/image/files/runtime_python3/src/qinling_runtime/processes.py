# SPDX-License-Identifier: Apache-2.0
"""Processes: limits, descendants, and termination of a whole tree. Uses /proc, so Linux only."""

# pathlib would be one more import in the zygote.

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

# Memory in bytes beyond a function's own: for keystoneauth1 and requests, if it uses os_session.
SESSION_ROOM = 64 * 1024 * 1024


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants, so that daemons cannot leave the tree."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_memory(hidden: bool) -> None:
    """Deny or allow processes of the same user to read this process's memory and environment."""
    _prctl(_PR_SET_DUMPABLE, 0 if hidden else 1)


def forbid_new_privileges() -> None:
    """Disable setuid programs for this process and its descendants."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _parents() -> dict[int, tuple[int, str]]:
    """Return {pid: (parent's pid, state letter)} of all visible processes."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            found[int(name)] = (int(parent), state.decode())
    return found


def children(root: int) -> set[int]:
    """Return the pids of the living children of ``root``."""
    return {pid for pid, (parent, state) in _parents().items() if parent == root and state not in ("Z", "X")}


def descendants(root: int) -> set[int]:
    """Return the pids of all living processes below ``root``."""
    below: dict[int, list[int]] = {}
    alive = set()
    for pid, (parent, state) in _parents().items():
        below.setdefault(parent, []).append(pid)
        if state not in ("Z", "X"):
            alive.add(pid)
    found: set[int] = set()
    queue = [root]
    while queue:
        for child in below.get(queue.pop(), ()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found & alive


def kill_all(pids: set[int], number: signal.Signals) -> None:
    """Send a signal to processes, ignoring ended and foreign ones."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_descendants(root: int, seconds: float = 10) -> bool:
    """Kill every process below ``root``, even while they fork; return whether none is left.

    Processes are stopped first: stopped processes cannot fork, so the number of running ones shrinks to zero.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stopped: set[int] = set()
        while new := descendants(root) - stopped:
            kill_all(new, signal.SIGSTOP)
            stopped |= new
            if time.monotonic() > deadline:
                break
        kill_all(stopped, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not descendants(root):
            return True
        time.sleep(0.002)
    return False


def memory_of(pid: int, field: str) -> int:
    """Return a size in bytes from /proc/<pid>/status (VmData, RssAnon), 0 if the process is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(field.encode() + b":"):
                    return int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    return 0


def _limit(kind: int, value: int, hard: int | None = None) -> None:
    ceiling = resource.getrlimit(kind)[1]
    limits = [value, value if hard is None else hard]
    if ceiling != resource.RLIM_INFINITY:
        limits = [min(each, ceiling) for each in limits]
    resource.setrlimit(kind, (limits[0], limits[1]))


def limit_myself(memory: int, processes: int) -> None:
    """Set the limits of this process and its descendants.

    ``memory`` is in bytes beyond the interpreter's current memory. RLIMIT_DATA counts writable memory; RLIMIT_AS would
    also count shared libraries and reserved address space, which are not memory in use.
    """
    _limit(resource.RLIMIT_NOFILE, 1024)
    _limit(resource.RLIMIT_NPROC, processes)
    _limit(resource.RLIMIT_FSIZE, 500 * 1024 * 1024)
    _limit(resource.RLIMIT_CORE, 0)
    if memory > 0:
        base = memory_of(os.getpid(), "VmData")
        _limit(resource.RLIMIT_DATA, base + memory, base + memory + SESSION_ROOM)


def extend_memory(by: int) -> None:
    """Raise the memory limit by ``by`` bytes, as far as SESSION_ROOM allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (min(soft + by, hard), hard))

# SPDX-License-Identifier: Apache-2.0
"""Ansible's local connection, which also writes down each operation that would be a round trip to a host by SSH."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: bench_local
short_description: Local connection that counts
description:
  - Does what ansible.builtin.local does, and writes one line an operation to the file of E(BENCH_OPERATIONS),
    which holds host, operation, seconds, and CPU seconds of what was run.
  - Tells what it runs by E(BENCH_HOST) for which host that is.
author: the qinling.kolla authors
options:
  become_success_timeout:
    description: Seconds until becoming another user has to have worked.
    type: int
    default: 10
  become_strip_preamble:
    description: Whether what becoming another user writes is taken off the output.
    type: bool
    default: true
extends_documentation_fragment:
  - connection_pipelining
"""


def _cpu() -> float:
    """Return the CPU seconds of the children of this process that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Connection(Local):
    """Counts what goes over it."""

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        host = str(self._play_context.remote_addr or "localhost")
        os.environ["BENCH_HOST"] = host
        start, cpu = time.monotonic(), _cpu()
        try:
            yield
        finally:
            line = f"{host}\t{operation}\t{time.monotonic() - start:.4f}\t{_cpu() - cpu:.4f}\n"
            # One write to a file that is opened for appending: hosts are worked on at the same time.
            with Path(os.environ["BENCH_OPERATIONS"]).open("ab", buffering=0) as log:
                log.write(line.encode())

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Take a command and its input; run it, and return its code, output and errors."""
        with self._counted("exec"):
            answer: tuple[int, bytes, bytes] = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
            return answer

    def put_file(self, in_path: str, out_path: str) -> None:
        """Take a file here and its place there, and copy it."""
        with self._counted("put"):
            super().put_file(in_path, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Take a file there and its place here, and copy it."""
        with self._counted("fetch"):
            # Not by the class's own put_file, which would count once more.
            Local.put_file(self, in_path, out_path)

# SPDX-License-Identifier: Apache-2.0
"""Ansible's local connection, which also records each operation that would be a round trip by SSH."""

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
short_description: Local connection that records its operations
description:
  - Works like ansible.builtin.local, and writes one line per operation to the file of E(BENCH_OPERATIONS),
    with host, operation, seconds, and CPU seconds of the processes.
  - Sets E(BENCH_HOST) to the name of the host for the processes.
author: the qinling.kolla authors
options:
  become_success_timeout:
    description: Timeout in seconds for becoming another user.
    type: int
    default: 10
  become_strip_preamble:
    description: Whether to remove the output of becoming another user.
    type: bool
    default: true
extends_documentation_fragment:
  - connection_pipelining
"""


def _cpu() -> float:
    """Return the CPU seconds of the ended children of this process."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Connection(Local):
    """Local connection that records its operations."""

    @contextmanager
    def _recorded(self, operation: str) -> Iterator[None]:
        host = str(self._play_context.remote_addr or "localhost")
        os.environ["BENCH_HOST"] = host
        start, cpu = time.monotonic(), _cpu()
        try:
            yield
        finally:
            line = f"{host}\t{operation}\t{time.monotonic() - start:.4f}\t{_cpu() - cpu:.4f}\n"
            # A single write in append mode, because connections to several hosts write at the same time.
            with Path(os.environ["BENCH_OPERATIONS"]).open("ab", buffering=0) as log:
                log.write(line.encode())

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command with input; return its exit status, output and errors."""
        with self._recorded("exec"):
            answer: tuple[int, bytes, bytes] = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
            return answer

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file to the host."""
        with self._recorded("put"):
            super().put_file(in_path, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file from the host."""
        with self._recorded("fetch"):
            # Not self.put_file, which would record a second operation.
            Local.put_file(self, in_path, out_path)

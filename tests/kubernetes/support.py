# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests on a real cluster."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RBAC = HERE.parents[1] / "roles/qinling/files/kubernetes-rbac.yml"
# The host's address for pods of the test cluster.
HOST_ADDRESS = os.environ.get("QINLING_KUBERNETES_HOST", "10.249.0.1")


def request(admin: Any, verb: str, path: str, body: Any = None) -> Any:
    """Send a request as the administrator and return the response, or None if the object does not exist."""
    from kubernetes import client

    try:
        return admin.call_api(path, verb, body=body, response_type="object", _return_http_data_only=True)
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise


def eventually(check: Callable[[], Any], seconds: float) -> Any:
    """Return the first true result of `check`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"timeout after {seconds} s: {check}"
        time.sleep(0.2)
    return found


class Registry:
    """Replacement of Qinling's etcd."""

    class _Lock:
        @staticmethod
        def is_acquired() -> bool:
            return True

    def __init__(self) -> None:
        self.workers: dict[tuple[str, str], set[str]] = {}

    @contextlib.contextmanager
    def get_worker_lock(self, function_id: str, version: object = 0) -> Iterator[Any]:
        yield self._Lock()

    def get_workers(self, function_id: str, version: object = 0) -> list[str]:
        return sorted(self.workers.get((function_id, str(version)), ()))

    def create_worker(self, function_id: str, worker: str, version: object = 0) -> None:
        self.workers.setdefault((function_id, str(version)), set()).add(worker)

    def delete_worker(self, function_id: str, worker: str, version: object = 0) -> None:
        self.workers.get((function_id, str(version)), set()).discard(worker)

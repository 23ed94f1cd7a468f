# SPDX-License-Identifier: Apache-2.0
"""Measurements of a deployment's functions by a client and by probes; all samples are in seconds."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from qinling_http import Qinling

from functions import probe
from functions.report import Samples

SOURCE = "def main(**kwargs):\n    return 1\n"
# Concurrent executions make the engine assign more workers, which must not affect the samples.
SETTLE_SECONDS = 3
POOL_SECONDS = 120
PYTHON = "/var/lib/kolla/venv/bin/python"


def clock(action: Callable[[], Any]) -> float:
    """Return the duration of `action` in seconds."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


class Deployment:
    """A deployment of Qinling under measurement.

    `clouds` is its clouds.yaml; `runtime` is the name of a runtime, or empty for any.
    """

    def __init__(self, clouds: Path, runtime: str) -> None:
        self.api = Qinling(clouds)
        available = [
            entry for entry in self.api.call("GET", "runtimes", 200)["runtimes"] if entry["status"] == "available"
        ]
        matching = [str(entry["id"]) for entry in available if runtime in ("", entry["name"])]
        if not matching:
            raise SystemExit(f"{self.api.endpoint}: no available runtime{f' named {runtime}' if runtime else ''}")
        self.runtime = matching[0]

    def session(self) -> requests.Session:
        """Return a new session for the API with the user's token."""
        session = requests.Session()
        session.headers.update(self.api.session.headers)
        return session

    @contextlib.contextmanager
    def function(self) -> Iterator[str]:
        """Return the ID of a new function, and delete it with its executions at the end."""
        function = self.api.create_function(self.runtime, SOURCE, name="bench")["id"]
        try:
            yield function
        finally:
            listed = self.api.call("GET", "executions", 200, params={"function_id": function})["executions"]
            for execution in listed:
                self.api.call("DELETE", f"executions/{execution['id']}", 204)
            self.api.call("DELETE", f"functions/{function}", 204)
            self.await_pool()

    def execute(self, session: requests.Session, function: str) -> bool:
        """Execute the function and return whether it succeeded."""
        answer = session.post(f"{self.api.endpoint}/v1/executions", json={"function_id": function}, timeout=120)
        return answer.status_code == 201 and answer.json()["status"] == "success"

    def require_execution(self, session: requests.Session, function: str) -> None:
        """Execute the function; raise SystemExit if it fails."""
        if not self.execute(session, function):
            raise SystemExit("an execution failed; check the log of the engine")

    def await_pool(self) -> None:
        """Wait until all workers of the runtime are free."""
        end = time.monotonic() + POOL_SECONDS
        while time.monotonic() < end:
            pool = self.api.call("GET", f"runtimes/{self.runtime}/pool", 200)["capacity"]
            if pool["available"] == pool["total"]:
                return
            time.sleep(0.5)
        raise SystemExit(
            f"the workers of the runtime are not free after {POOL_SECONDS} s; check whether other functions use them"
        )

    def create(self, rounds: int) -> Samples:
        """Measure the creation of functions."""
        samples = []
        for _number in range(rounds):
            begin = time.perf_counter()
            function = self.api.create_function(self.runtime, SOURCE, name="bench")["id"]
            samples.append(time.perf_counter() - begin)
            self.api.call("DELETE", f"functions/{function}", 204)
        return samples

    def cold(self, function: str, rounds: int) -> Samples:
        """Measure executions that include assigning a worker and downloading the package."""
        samples = []
        for _number in range(rounds):
            self.api.call("POST", f"functions/{function}/detach", 202)
            time.sleep(1)
            self.await_pool()
            # A worker counts as free shortly before it is idle.
            time.sleep(1)
            samples.append(clock(lambda: self.require_execution(self.api.session, function)))
        return samples

    def warm(self, function: str, rounds: int, pause: float) -> Samples:
        """Measure consecutive executions."""
        session = self.session()
        self.require_execution(session, function)
        samples = []
        for _number in range(rounds):
            time.sleep(pause)
            samples.append(clock(lambda: self.require_execution(session, function)))
        return samples

    def concurrent(self, function: str, clients: int, rounds: int) -> tuple[Samples, float, int]:
        """Measure concurrent executions; return samples, executions per second, and the number of failures."""
        sessions = [self.session() for _number in range(clients)]
        failed: list[float] = []

        def run(session: requests.Session, count: int) -> Samples:
            samples: Samples = []
            for _number in range(count):
                begin = time.perf_counter()
                (samples if self.execute(session, function) else failed).append(time.perf_counter() - begin)
            return samples

        with concurrent.futures.ThreadPoolExecutor(clients) as threads:
            list(threads.map(lambda session: run(session, 2), sessions))
            time.sleep(SETTLE_SECONDS)
            failed.clear()
            each = max(1, rounds // clients)
            begin = time.perf_counter()
            samples = [sample for part in threads.map(lambda session: run(session, each), sessions) for sample in part]
            return samples, len(samples) / (time.perf_counter() - begin), len(failed)

    def http(self, rounds: int) -> dict[str, Samples]:
        """Measure the overhead of requests to the API: HTTP, and the validation of the token."""
        plain, session = requests.Session(), self.session()
        url = f"{self.api.endpoint}/v1/"
        samples: dict[str, Samples] = {"HTTP: client to API": [], "API: token check": []}
        for _number in range(rounds):
            without = clock(lambda: plain.get(url, timeout=30).raise_for_status())
            samples["HTTP: client to API"].append(without)
            samples["API: token check"].append(clock(lambda: session.get(url, timeout=30).raise_for_status()) - without)
        return samples


def run_probe(container: str, side: str, function: str, rounds: int) -> dict[str, Samples]:
    """Run the probe in a local container and return its samples by part."""
    source = Path(probe.__file__).read_text()
    command = ["docker", "exec", "--interactive", container, PYTHON, "-", side, function, str(rounds)]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False, timeout=300)
    for line in done.stdout.splitlines():
        if line.startswith(probe.MARK):
            return dict(json.loads(line.removeprefix(probe.MARK)))
    # Not the whole output, which can contain the service's configuration.
    raise SystemExit(f"{container}: the probe failed with status {done.returncode}: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:300]

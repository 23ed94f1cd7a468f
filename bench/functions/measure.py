# SPDX-License-Identifier: Apache-2.0
"""Calls a deployment's functions as a user does, and asks the probes; returns samples, all in seconds."""

from __future__ import annotations

import concurrent.futures
import contextlib
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
# More than one execution at once makes the engine take more workers: what counts comes after that.
SETTLE_SECONDS = 3
POOL_SECONDS = 120
PYTHON = "/var/lib/kolla/venv/bin/python"


def clock(action: Callable[[], Any]) -> float:
    """Return how many seconds `action` took."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


class Deployment:
    """A deployment of Qinling with a function of the benchmark's own."""

    def __init__(self, clouds: Path, runtime: str) -> None:
        """Log in as clouds.yaml says, and find the runtime of the given name, or any if that is empty."""
        self.api = Qinling(clouds)
        available = [
            entry for entry in self.api.call("GET", "runtimes", 200)["runtimes"] if entry["status"] == "available"
        ]
        self.runtime = next((entry["id"] for entry in available if runtime in ("", entry["name"])), None)
        if self.runtime is None:
            raise SystemExit(f"No runtime {runtime or 'at all'} is available at {self.api.endpoint}.")

    def session(self) -> requests.Session:
        """Return a connection of its own to the API, with the user's token."""
        made = requests.Session()
        made.headers.update(self.api.session.headers)
        return made

    @contextlib.contextmanager
    def function(self) -> Iterator[str]:
        """Create a function; delete it with its executions at the end."""
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
        """Run the function and return whether it answered."""
        answer = session.post(f"{self.api.endpoint}/v1/executions", json={"function_id": function}, timeout=120)
        return answer.status_code == 201 and answer.json()["status"] == "success"

    def execute_surely(self, session: requests.Session, function: str) -> None:
        """Run the function, and end where it does not answer."""
        if not self.execute(session, function):
            raise SystemExit("An execution failed; see the engine's log.")

    def await_pool(self) -> None:
        """Wait until all workers of the runtime are free."""
        end = time.monotonic() + POOL_SECONDS
        while time.monotonic() < end:
            pool = self.api.call("GET", f"runtimes/{self.runtime}/pool", 200)["capacity"]
            if pool["available"] == pool["total"]:
                return
            time.sleep(0.5)
        raise SystemExit(f"The runtime's workers are not free after {POOL_SECONDS} s: do others use them?")

    def create(self, rounds: int) -> Samples:
        """Time the creation of a function."""
        samples = []
        for _ in range(rounds):
            begin = time.perf_counter()
            function = self.api.create_function(self.runtime, SOURCE, name="bench")["id"]
            samples.append(time.perf_counter() - begin)
            self.api.call("DELETE", f"functions/{function}", 204)
        return samples

    def cold(self, function: str, rounds: int) -> Samples:
        """Time executions that have to take a worker, which has to fetch the package."""
        samples = []
        for _ in range(rounds):
            self.api.call("POST", f"functions/{function}/detach", 202)
            time.sleep(1)
            self.await_pool()
            # A worker counts as free a moment before it has nothing else to do than to wait.
            time.sleep(1)
            samples.append(clock(lambda: self.execute_surely(self.api.session, function)))
        return samples

    def warm(self, function: str, rounds: int, pause: float) -> Samples:
        """Time executions one after the other."""
        session = self.session()
        self.execute_surely(session, function)
        samples = []
        for _ in range(rounds):
            time.sleep(pause)
            samples.append(clock(lambda: self.execute_surely(session, function)))
        return samples

    def concurrent(self, function: str, clients: int, rounds: int) -> tuple[Samples, float, int]:
        """Let so many clients execute at once; return the times, answers a second, and how many calls failed."""
        sessions = [self.session() for _ in range(clients)]
        failed: list[float] = []

        def run(session: requests.Session, count: int) -> Samples:
            samples = []
            for _ in range(count):
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
        """Time what stands before all work of the API: HTTP itself, and the check of the token."""
        plain, session = requests.Session(), self.session()
        url = f"{self.api.endpoint}/v1/"
        samples: dict[str, Samples] = {"HTTP: client to API": [], "API: token check": []}
        for _ in range(rounds):
            without = clock(lambda: plain.get(url, timeout=30).raise_for_status())
            samples["HTTP: client to API"].append(without)
            samples["API: token check"].append(clock(lambda: session.get(url, timeout=30).raise_for_status()) - without)
        return samples


def ask_probe(container: str, side: str, function: str, rounds: int) -> dict[str, Samples]:
    """Run the probe in a container of this machine's Docker; return its samples by part."""
    source = Path(probe.__file__).read_text()
    command = ["docker", "exec", "--interactive", container, PYTHON, "-", side, function, str(rounds)]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False, timeout=300)
    for line in done.stdout.splitlines():
        if line.startswith(probe.MARK):
            return dict(probe.json.loads(line.removeprefix(probe.MARK)))
    # Not its output: it runs with the service's configuration.
    raise SystemExit(f"The probe in {container} failed (exit status {done.returncode}): {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:300]

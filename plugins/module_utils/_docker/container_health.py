# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Wait until containers are healthy, by running their health checks directly.

Docker runs the first health check only after a whole interval, which would dominate the time of a deployment.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import mask_line
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import SOCKET, DockerApi, DockerUnreachableError

# A container that exits more often than this has failed.
MAX_RESTARTS = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
# Limits for reading a container's output and log file, and the number of lines of each in a report.
_OUTPUT_LINES, _FILE_BYTES, _SHOWN_LINES = 1000, 1 << 17, 20
_LONGEST_LINE = 500
# Output of kolla_start (a trace of its commands) and of kolla_set_configs (its progress, not its errors).
_STARTUP = re.compile(r"\++ |Running command: '|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO ")
# The time at the beginning of a log line, in the host's time zone: oslo.log, MariaDB, RabbitMQ.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d) +(\d{1,2}:\d\d:\d\d)")
_NO_SUCH_CONTAINER: dict[str, Any] = {}


@dataclass
class Outcome:
    """The result for one container: its details from Docker (`found`), and its health check's last `output`."""

    name: str
    healthy: bool
    found: Mapping[str, Any]
    output: str
    # Seconds.
    waited: float

    @property
    def state(self) -> Mapping[str, Any]:
        """Return the container's `State` as Docker reports it."""
        return self.found.get("State") or {}

    @property
    def restarts(self) -> int:
        """Return the number of restarts."""
        return int(self.found.get("RestartCount") or 0)

    def summary(self) -> dict[str, str]:
        """Return name, image and status; a container without a health check is running instead of healthy."""
        health = "healthy" if command_of(_own_test(self.found)) else "running"
        running = "unhealthy" if self.state.get("Status") == "running" else self.state.get("Status") or "missing"
        image = (self.found.get("Config") or {}).get("Image") or "unknown"
        return {"name": self.name, "image": str(image), "status": health if self.healthy else str(running)}


def command_of(test: list[str]) -> list[str]:
    """Return the command of a health check's test in Docker's format; empty if there is no check."""
    kind, *words = test or ["NONE"]
    return {"CMD": words, "CMD-SHELL": ["sh", "-c", *words]}.get(kind, [])


def _own_test(found: Mapping[str, Any]) -> list[str]:
    """Return the test of the health check with which a container was created."""
    return ((found.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []


def pauses() -> Any:
    """Yield the seconds between two checks, with increasing length."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)


class Host:
    """Docker on this host."""

    def __init__(self) -> None:
        self.api = DockerApi(SOCKET)

    def inspect(self, name: str) -> Mapping[str, Any]:
        """Return a container's details; empty if it does not exist or Docker does not answer."""
        try:
            status, found = self.api.get(f"/containers/{name}/json")
        except DockerUnreachableError:
            return _NO_SUCH_CONTAINER
        return found if status == 200 else _NO_SUCH_CONTAINER

    def execute(self, name: str, command: list[str], seconds: float) -> tuple[int, str]:
        """Run a command in a container; return its exit status and output."""
        return self._docker("exec", name, *command, seconds=seconds)

    def output(self, name: str) -> str:
        """Return the end of a container's standard output and error."""
        return self._docker("logs", "--tail", str(_OUTPUT_LINES), name, seconds=30)[1]

    def log_file(self, name: str, path: str) -> str:
        """Return the end of a file in a running or stopped container; empty if it cannot be read."""
        try:
            return self.api.file_end(name, path, _FILE_BYTES).decode("utf-8", "replace")
        except DockerUnreachableError:
            return ""

    @staticmethod
    def _docker(*words: str, seconds: float) -> tuple[int, str]:
        try:
            completed = subprocess.run(  # noqa: S603
                ["docker", *words],  # noqa: S607
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, f"no answer within {seconds:.0f} s"
        return completed.returncode, completed.stdout.decode("utf-8", "replace")


def wait_for(
    name: str,
    test: list[str],
    seconds: float,
    host: Host,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Wait until a container is healthy, for at most `seconds`.

    A container is healthy if Docker reports this, or if its health check succeeds; without a health check, if it runs.
    An empty `test` means the health check with which the container was created.
    """
    start = clock()
    end = start + seconds
    output = ""
    for pause in pauses():
        found = host.inspect(name)
        outcome = Outcome(name, False, found, output, clock() - start)
        command = command_of(test or _own_test(found))
        running = outcome.state.get("Status") == "running"
        if running and ((outcome.state.get("Health") or {}).get("Status") == "healthy" or not command):
            return replace(outcome, healthy=True)
        if running:
            code, output = host.execute(name, command, max(1.0, min(30.0, end - clock())))
            outcome = Outcome(name, code == 0, found, output, clock() - start)
        if outcome.healthy or outcome.restarts > MAX_RESTARTS or not found or clock() >= end:
            return outcome
        sleep(pause)
    raise AssertionError("pauses end")  # pragma: no cover


def program_lines(output: str) -> list[str]:
    """Return the last lines of a container's output, without the output of the image's start scripts.

    If the program wrote nothing, the start failed, and its lines are returned.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    return ([line for line in lines if not _STARTUP.match(line)] or lines)[-_SHOWN_LINES:]


def lines_since(text: str, created: str) -> list[str]:
    """Return the last lines of a log file since the container was created (`created` is Docker's timestamp).

    A line without a time belongs to the preceding line; a log without any times is not filtered.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    moments = [_moment(line) for line in lines]
    if created and any(moments):
        start = datetime.fromisoformat(f"{created[:19]}+00:00").timestamp()
        first = next((number for number, moment in enumerate(moments) if moment and moment >= start), len(lines))
        lines = lines[first:]
    return lines[-_SHOWN_LINES:]


def _moment(line: str) -> float | None:
    """Return the time at the beginning of a line, in seconds since the epoch; None if the line has no time."""
    found = _TIME.match(line)
    try:
        return datetime.strptime(" ".join(found.groups()), "%Y-%m-%d %H:%M:%S").timestamp() if found else None
    except ValueError:
        return None


def report(outcome: Outcome, test: list[str], logs: Mapping[str, list[str]], secrets: list[str]) -> str:
    """Return the message about a container that is not healthy.

    `logs` are lines by their source, the most useful first; `secrets` is the result of masking.literals.
    """
    early = "; gave up because it exits repeatedly" if outcome.restarts > MAX_RESTARTS else ""
    command = " ".join((test or _own_test(outcome.found))[1:]) or "none"
    parts = [
        f"The container {outcome.name} did not become healthy within {outcome.waited:.0f} s{early}.",
        f"It is {outcome.state.get('Status') or 'missing'}, and was restarted {outcome.restarts} times.",
    ]
    sources = {f"its health check ({command})": outcome.output.splitlines(), **logs}
    for source, lines in sources.items():
        shown = [f"    {mask_line(line.rstrip(), secrets)[:_LONGEST_LINE]}" for line in lines if line.strip()]
        parts += [f"The last lines of {source}:", *shown] if shown else [f"The last lines of {source}: none"]
    return "\n".join(parts)


def logs_of(outcome: Outcome, log_file: str, logs_volume: str, host: Host) -> dict[str, list[str]]:
    """Return the last lines of a container's log file and of its output, by their source."""
    created = str(outcome.found.get("Created") or "")
    file = {f"{log_file} in the volume {logs_volume}": lines_since(host.log_file(outcome.name, log_file), created)}
    return {**(file if log_file else {}), f'"docker logs {outcome.name}"': program_lines(host.output(outcome.name))}


def wait_for_all(
    containers: list[Mapping[str, Any]], seconds: int, logs_volume: str, secrets: list[str], host: Host
) -> tuple[list[dict[str, str]], list[str]]:
    """Wait for all `containers` (``{name, test, log_file}``), for at most `seconds` in total.

    Return a summary of each container, and a report about each that is not healthy.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(containers))) as pool:
        outcomes = list(pool.map(lambda item: wait_for(item["name"], item["test"], seconds, host), containers))
    return [outcome.summary() for outcome in outcomes], [
        report(outcome, item["test"], logs_of(outcome, item["log_file"], logs_volume, host), secrets)
        for item, outcome in zip(containers, outcomes, strict=True)
        if not outcome.healthy
    ]

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Waits until containers are well: their own health check is run as soon and as often as it makes sense.

Docker itself asks for the first time after a whole interval, which is where the time of starting goes otherwise.
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

# A container that ends again and again is given up.
MAX_RESTARTS = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
# What is read of a container's output and log file, and the lines of each that are shown.
_OUTPUT_LINES, _FILE_BYTES, _SHOWN_LINES = 1000, 1 << 17, 20
_LONGEST_LINE = 500
# What kolla_start (a trace of its commands) and kolla_set_configs (its progress, not its errors) write at each start.
_STARTUP = re.compile(r"\++ |Running command: '|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO ")
# The time that a line of a log begins with, in the host's time zone: oslo.log, MariaDB, RabbitMQ.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d) +(\d{1,2}:\d\d:\d\d)")
_NO_SUCH_CONTAINER: dict[str, Any] = {}


@dataclass
class Outcome:
    """What became of one container: whether it is well, what Docker knows of it, its health check's last output."""

    name: str
    well: bool
    found: Mapping[str, Any]
    said: str
    # Seconds that it was waited for.
    waited: float

    @property
    def state(self) -> Mapping[str, Any]:
        """What Docker calls the container's state."""
        return self.found.get("State") or {}

    @property
    def restarts(self) -> int:
        """How often Docker started the container again."""
        return int(self.found.get("RestartCount") or 0)

    def summary(self) -> dict[str, str]:
        """Return name, image and status; the status is healthy or running where the container is well."""
        health = "healthy" if command_of(_own_test(self.found)) else "running"
        running = "unhealthy" if self.state.get("Status") == "running" else self.state.get("Status") or "missing"
        image = (self.found.get("Config") or {}).get("Image") or "unknown"
        return {"name": self.name, "image": str(image), "status": health if self.well else str(running)}


def command_of(test: list[str]) -> list[str]:
    """Takes a health check's test as Docker has it, returns the command; empty for none."""
    kind, *words = test or ["NONE"]
    return {"CMD": words, "CMD-SHELL": ["sh", "-c", *words]}.get(kind, [])


def _own_test(found: Mapping[str, Any]) -> list[str]:
    """Return the test of the health check that a container was made with."""
    return ((found.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []


def pauses() -> Any:
    """Yields the seconds between two looks: short at first, then longer."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)


class Host:
    """Docker on this host, as waiting needs it."""

    def __init__(self) -> None:
        self.api = DockerApi(SOCKET)

    def inspect(self, name: str) -> Mapping[str, Any]:
        """Returns what Docker knows of a container, nothing if there is none."""
        try:
            status, found = self.api.get(f"/containers/{name}/json")
        except DockerUnreachableError:
            return _NO_SUCH_CONTAINER
        return found if status == 200 else _NO_SUCH_CONTAINER

    def execute(self, name: str, command: list[str], seconds: float) -> tuple[int, str]:
        """Runs a command in a container, returns how it ended and what it wrote."""
        return self._docker("exec", name, *command, seconds=seconds)

    def output(self, name: str) -> str:
        """Return the end of what a container wrote to its standard output and error."""
        return self._docker("logs", "--tail", str(_OUTPUT_LINES), name, seconds=30)[1]

    def log_file(self, name: str, path: str) -> str:
        """Return the end of a file in a container, running or not; nothing where it cannot be read."""
        try:
            return self.api.file_end(name, path, _FILE_BYTES).decode("utf-8", "replace")
        except DockerUnreachableError:
            return ""

    @staticmethod
    def _docker(*words: str, seconds: float) -> tuple[int, str]:
        try:
            done = subprocess.run(  # noqa: S603
                ["docker", *words],  # noqa: S607
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, f"no answer within {seconds:.0f} s"
        return done.returncode, done.stdout.decode("utf-8", "replace")


def wait_for(
    name: str,
    test: list[str],
    seconds: float,
    host: Host,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Takes a container's name, its health check and how long it may take; returns what became of it.

    It is well where Docker says so, or its health check says so now; without a health check, where it runs. A test that
    is not given is the container's own.
    """
    start = clock()
    end = start + seconds
    said = ""
    for pause in pauses():
        found = host.inspect(name)
        outcome = Outcome(name, False, found, said, clock() - start)
        command = command_of(test or _own_test(found))
        running = outcome.state.get("Status") == "running"
        if running and ((outcome.state.get("Health") or {}).get("Status") == "healthy" or not command):
            return replace(outcome, well=True)
        if running:
            code, said = host.execute(name, command, max(1.0, min(30.0, end - clock())))
            outcome = Outcome(name, code == 0, found, said, clock() - start)
        if outcome.well or outcome.restarts > MAX_RESTARTS or not found or clock() >= end:
            return outcome
        sleep(pause)
    raise AssertionError("pauses end")  # pragma: no cover


def program_lines(output: str) -> list[str]:
    """Return the last lines that a program wrote to its container's output, without those of the image's start.

    Where there are no others, the start is what failed, and its lines are returned.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    return ([line for line in lines if not _STARTUP.match(line)] or lines)[-_SHOWN_LINES:]


def lines_since(text: str, created: str) -> list[str]:
    """Return the last lines of a log file that were written since a container was created, as Docker has that moment.

    A line without a time belongs to the one before it; a log whose lines have no time is taken as it is.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    moments = [_moment(line) for line in lines]
    if created and any(moments):
        start = datetime.fromisoformat(f"{created[:19]}+00:00").timestamp()
        first = next((number for number, moment in enumerate(moments) if moment and moment >= start), len(lines))
        lines = lines[first:]
    return lines[-_SHOWN_LINES:]


def _moment(line: str) -> float | None:
    """Return the seconds since the epoch of the time that a line begins with, if it does."""
    found = _TIME.match(line)
    try:
        return datetime.strptime(" ".join(found.groups()), "%Y-%m-%d %H:%M:%S").timestamp() if found else None
    except ValueError:
        return None


def report(outcome: Outcome, test: list[str], logs: Mapping[str, list[str]], secrets: list[str]) -> str:
    """Return what an operator needs to know of a container that is not healthy, without `secrets`.

    `logs` are lines by where they are from, the most telling first; `secrets` is the output of masking.literals.
    """
    early = ", and was given up as it ends again and again" if outcome.restarts > MAX_RESTARTS else ""
    command = " ".join((test or _own_test(outcome.found))[1:]) or "none"
    parts = [
        f"The container {outcome.name} did not become healthy within {outcome.waited:.0f} s{early}.",
        f"It is {outcome.state.get('Status') or 'missing'}, and was restarted {outcome.restarts} times.",
    ]
    sources = {f"its health check ({command})": outcome.said.splitlines(), **logs}
    for source, lines in sources.items():
        shown = [f"    {mask_line(line.rstrip(), secrets)[:_LONGEST_LINE]}" for line in lines if line.strip()]
        parts += [f"The last lines of {source}:", *shown] if shown else [f"The last lines of {source}: none"]
    return "\n".join(parts)


def logs_of(outcome: Outcome, log_file: str, logs_volume: str, host: Host) -> dict[str, list[str]]:
    """Return the last lines of a container by where they are from: its program's log file, and its output."""
    created = str(outcome.found.get("Created") or "")
    file = {f"{log_file} in the volume {logs_volume}": lines_since(host.log_file(outcome.name, log_file), created)}
    return {**(file if log_file else {}), f'"docker logs {outcome.name}"': program_lines(host.output(outcome.name))}


def wait_for_all(
    containers: list[Mapping[str, Any]], seconds: int, logs_volume: str, secrets: list[str], host: Host
) -> tuple[list[dict[str, str]], list[str]]:
    """Takes containers (`name`, `test`, `log_file`) and how long all may take, and what may not be shown.

    Returns a summary of each, and a report on each that is not well.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(containers))) as pool:
        outcomes = list(pool.map(lambda item: wait_for(item["name"], item["test"], seconds, host), containers))
    return [outcome.summary() for outcome in outcomes], [
        report(outcome, item["test"], logs_of(outcome, item["log_file"], logs_volume, host), secrets)
        for item, outcome in zip(containers, outcomes, strict=True)
        if not outcome.well
    ]

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Waits until containers are well: their own health check is run as soon and as often as it makes sense.

Docker itself asks for the first time after a whole interval, which is where the time of starting goes otherwise.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import SOCKET, DockerApi, DockerUnreachableError

# A container that ends again and again is given up.
MAX_RESTARTS = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
_LOG_LINES = 40
_NO_SUCH_CONTAINER: dict[str, Any] = {}


@dataclass
class Outcome:
    """What became of one container: whether it is well, and what there is to tell of it."""

    name: str
    well: bool
    state: Mapping[str, Any]
    restarts: int
    said: str
    # Seconds that it was waited for.
    waited: float


def command_of(test: list[str]) -> list[str]:
    """Takes a health check's test as Docker has it, returns the command; empty for none."""
    kind, *words = test or ["NONE"]
    return {"CMD": words, "CMD-SHELL": ["sh", "-c", *words]}.get(kind, [])


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

    def log(self, name: str) -> str:
        """Returns the last lines of a container."""
        return self._docker("logs", "--tail", str(_LOG_LINES), name, seconds=30)[1]

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

    It is well where Docker says so, or its health check says so now; without a health check, where it runs.
    """
    start = clock()
    end = start + seconds
    command, said = command_of(test), ""
    for pause in pauses():
        found = host.inspect(name)
        state, restarts = found.get("State") or {}, int(found.get("RestartCount") or 0)
        running = state.get("Status") == "running"
        if running and ((state.get("Health") or {}).get("Status") == "healthy" or not command):
            return Outcome(name, True, state, restarts, said, clock() - start)
        if running:
            code, said = host.execute(name, command, max(1.0, min(30.0, end - clock())))
            if code == 0:
                return Outcome(name, True, state, restarts, said, clock() - start)
        if restarts > MAX_RESTARTS or not found or clock() >= end:
            return Outcome(name, False, state, restarts, said, clock() - start)
        sleep(pause)
    raise AssertionError("pauses end")  # pragma: no cover


def indented(text: str) -> str:
    """Takes a text, returns it indented, without what is empty around it."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines())


def told(outcome: Outcome, test: list[str], log: str, logs_volume: str) -> str:
    """Takes what became of a container that is not well, and its last lines; returns what an operator needs to know."""
    early = ", and was given up as it ends again and again" if outcome.restarts > MAX_RESTARTS else ""
    return "\n".join(
        [
            f"The container {outcome.name} did not become healthy within {outcome.waited:.0f} s{early}.",
            f"It is {outcome.state.get('Status') or 'not there'}, was started again {outcome.restarts} times;",
            f"its health check, {' '.join(test[1:]) or 'none'}, said last:",
            indented(outcome.said) or "    nothing",
            f'Its last lines ("docker logs {outcome.name}" and the volume {logs_volume} have more):',
            indented(log),
        ]
    )


def wait_for_all(containers: list[Mapping[str, Any]], seconds: int, logs_volume: str, host: Host) -> list[str]:
    """Takes containers (`name`, `test`) and how long all may take; returns what is told of those that are not well."""
    with ThreadPoolExecutor(max_workers=max(1, len(containers))) as pool:
        outcomes = list(pool.map(lambda item: wait_for(item["name"], item["test"], seconds, host), containers))
    return [
        told(outcome, item["test"], host.log(outcome.name), logs_volume)
        for item, outcome in zip(containers, outcomes, strict=True)
        if not outcome.well
    ]

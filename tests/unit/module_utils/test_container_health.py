# SPDX-License-Identifier: Apache-2.0
"""Waiting for healthy containers, with a simulated clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker import container_health as module

TEST = ["CMD", "probe", "api"]


class Fake(module.Host):
    """A sequence of container states and probe results; the last one repeats."""

    def __init__(self, states: list[dict[str, Any]], probes: list[int] | None = None) -> None:
        self.states, self.probes = states, probes or [1]
        self.now, self.slept, self.commands = 0.0, list[float](), list[list[str]]()

    def inspect(self, name: str) -> dict[str, Any]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def execute(self, name: str, command: list[str], seconds: float) -> tuple[int, str]:
        self.commands.append(command)
        self.now += 0.1
        return (self.probes.pop(0) if len(self.probes) > 1 else self.probes[0]), "the probe's output"

    def output(self, name: str) -> str:
        return "first\nlast\n"

    def log_file(self, name: str, path: str) -> str:
        return "2026-11-27 09:00:00 earlier\n2026-11-27 09:30:00 password=hunter22 for 5ecret!\n"

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def wait(self, test: list[str] | None = None, seconds: float = 60) -> module.Outcome:
        return module.wait_for("api", TEST if test is None else test, seconds, self, lambda: self.now, self.sleep)


def state(status: str = "running", health: str = "starting", restarts: int = 0) -> dict[str, Any]:
    return {"State": {"Status": status, "Health": {"Status": health}}, "RestartCount": restarts}


@pytest.mark.parametrize(
    ("states", "probes", "test", "healthy"),
    [
        ([state(health="healthy")], [1], TEST, True),
        ([state()], [1, 1, 0], TEST, True),
        ([state("created"), state("restarting"), state()], [0], TEST, True),
        ([{"State": {"Status": "running"}}], [1], [], True),
        ([{"State": {"Status": "running"}}], [1], ["NONE"], True),
        ([state(restarts=4, status="restarting")], [1], TEST, False),
        ([{}], [1], TEST, False),
        ([state()], [1], TEST, False),
        ([state("exited")], [0], TEST, False),
    ],
    ids=["healthy", "probe", "slow start", "no check", "NONE", "restarts", "missing", "unhealthy", "exited"],
)
def test_outcome(states: list[dict[str, Any]], probes: list[int], test: list[str], healthy: bool) -> None:
    assert Fake(states, probes).wait(test).healthy is healthy


def test_wait_increases_the_interval() -> None:
    host = Fake([state()], [1])
    outcome = host.wait(seconds=20)
    assert (outcome.output, outcome.waited) == ("the probe's output", host.now)
    assert host.slept[:3] == pytest.approx([0.2, 0.3, 0.45])
    assert host.slept[-1] == module.LONGEST_PAUSE
    assert 20 <= host.now < 20 + module.LONGEST_PAUSE + 0.2
    assert set(map(tuple, host.commands)) == {("probe", "api")}


@pytest.mark.parametrize(
    ("test", "command"),
    [(["CMD", "a", "b"], ["a", "b"]), (["CMD-SHELL", "a | b"], ["sh", "-c", "a | b"]), (["NONE"], []), ([], [])],
)
def test_command(test: list[str], command: list[str]) -> None:
    assert module.command_of(test) == command


def test_pauses_do_not_end() -> None:
    found: Iterator[float] = module.pauses()
    assert [next(found) for _number in range(50)][-1] == module.LONGEST_PAUSE


API = {"name": "api", "test": TEST, "log_file": "/var/log/kolla/api.log"}


def wait_for_all(containers: list[Mapping[str, Any]], found: dict[str, Any], probe: int = 1) -> Any:
    return module.wait_for_all(containers, 0, "logs", ["5ecret!"], Fake([found], [probe]))


def test_report_about_an_unhealthy_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    found = {**state(restarts=5), "Created": "2026-11-27T09:29:59.9Z", "Config": {"Image": "kolla/api:1"}}
    (summary,), (text,) = wait_for_all([API], found)
    assert text.splitlines() == [
        "The container api did not become healthy within 0 s; gave up because it exits repeatedly.",
        "It is running, and was restarted 5 times.",
        "The last lines of its health check (probe api):",
        "    the probe's output",
        "The last lines of /var/log/kolla/api.log in the volume logs:",
        "    2026-11-27 09:30:00 password=*** for ***",
        'The last lines of "docker logs api":',
        "    first",
        "    last",
    ]
    assert summary == {"name": "api", "image": "kolla/api:1", "status": "unhealthy"}


@pytest.mark.parametrize(
    ("found", "probe", "status"),
    [
        ({**state(), "Config": {"Healthcheck": {"Test": TEST}}}, 0, "healthy"),
        ({**state("restarting", restarts=4), "Config": {}}, 0, "restarting"),
        ({}, 0, "missing"),
    ],
)
def test_summary(found: dict[str, Any], probe: int, status: str) -> None:
    (summary,), _reports = wait_for_all([API], found, probe)
    assert summary["status"] == status


@pytest.mark.parametrize(("status", "summary"), [("running", "running"), ("exited", "exited")])
def test_container_with_disabled_health_check_has_to_run(status: str, summary: str) -> None:
    found = {"State": {"Status": status}, "Config": {"Image": "kolla/api:1", "Healthcheck": {"Test": ["NONE"]}}}
    host = Fake([found], [1])
    summaries, reports = module.wait_for_all([{**API, "test": ["NONE"]}], 0, "logs", [], host)
    assert [item["status"] for item in summaries] == [summary]
    assert len(reports) == (status != "running")
    assert host.commands == []


def test_default_is_the_container_s_own_health_check() -> None:
    host = Fake([{**state(), "Config": {"Healthcheck": {"Test": ["CMD", "own", "check"]}}}], [0])
    assert host.wait([]).healthy
    assert host.commands == [["own", "check"]]


def test_healthy_containers_are_not_reported() -> None:
    assert wait_for_all([API], state(), 0)[1] == []
    assert wait_for_all([], {}) == ([], [])


STARTUP = [
    "+ sudo -E kolla_set_configs",
    "2026-11-27 09:30:00.123 INFO Loading config file at /var/lib/kolla/config_files/config.json",
    "2026-11-27 09:30:00.124 INFO Setting permission for /var/lib/mysql/ibdata1",
    "++ cat /run_command",
    "Running command: 'mariadbd --defaults-file=/etc/mysql/my.cnf'",
    "+ exec mariadbd --defaults-file=/etc/mysql/my.cnf",
]
REFUSED = "2026-11-27 09:30:00.124 ERROR MissingRequiredSource: /var/lib/kolla/config_files/my.cnf"
OSLO = "2026-11-27 09:30:01.124 7 INFO keystone.server [-] ready"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([*STARTUP, "mariadbd: unknown variable", "", OSLO], ["mariadbd: unknown variable", OSLO]),
        ([*STARTUP, "one", *STARTUP], ["one"]),
        ([*STARTUP[:2], REFUSED], [REFUSED]),
        (STARTUP, STARTUP),
        ([str(number) for number in range(50)], [str(number) for number in range(30, 50)]),
        ([], []),
    ],
    ids=["program output", "previous start", "kolla_set_configs fails", "only startup", "last lines", "empty"],
)
def test_program_lines(lines: list[str], shown: list[str]) -> None:
    assert module.program_lines("\n".join(lines)) == shown


MARIADB = ["2026-11-27  9:29:58 0 [Note] before", "2026-11-27  9:30:00 0 [ERROR] Unknown engine", "of two lines"]
RABBITMQ = ["2026-11-27 09:29:58.1+00:00 [info] before", "2026-11-27 09:30:00.2+00:00 [error] <0.9.0> BOOT FAILED"]


@pytest.mark.parametrize(
    ("lines", "created", "shown"),
    [
        (MARIADB, "2026-11-27T09:30:00.987654321Z", MARIADB[1:]),
        (RABBITMQ, "2026-11-27T09:30:00.987654321Z", RABBITMQ[1:]),
        (MARIADB, "2026-11-27T10:00:00Z", []),
        (MARIADB, "", MARIADB),
        (["no time", "at all"], "2026-11-27T09:30:00Z", ["no time", "at all"]),
        (["2026-99-99 99:99:99 no time"], "2026-11-27T09:30:00Z", ["2026-99-99 99:99:99 no time"]),
        ([], "2026-11-27T09:30:00Z", []),
    ],
)
def test_lines_since(monkeypatch: pytest.MonkeyPatch, lines: list[str], created: str, shown: list[str]) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert module.lines_since("\n".join(lines), created) == shown

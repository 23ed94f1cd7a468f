# SPDX-License-Identifier: Apache-2.0
"""How containers are waited for, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils import container_health as module

TEST = ["CMD", "probe", "api"]


class Fake(module.Host):
    """Containers whose states and probes follow one after the other, the last for ever."""

    def __init__(self, states: list[dict[str, Any]], probes: list[int] | None = None) -> None:
        self.states, self.probes = states, probes or [1]
        self.now, self.slept, self.asked = 0.0, list[float](), list[list[str]]()

    def inspect(self, name: str) -> dict[str, Any]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def execute(self, name: str, command: list[str], seconds: float) -> tuple[int, str]:
        self.asked.append(command)
        self.now += 0.1
        return (self.probes.pop(0) if len(self.probes) > 1 else self.probes[0]), "the probe's word"

    def log(self, name: str) -> str:
        return "first\nlast\n"

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def wait(self, test: list[str] = TEST, seconds: float = 60) -> module.Outcome:
        return module.wait_for("api", test, seconds, self, lambda: self.now, self.sleep)


def state(status: str = "running", health: str = "starting", restarts: int = 0) -> dict[str, Any]:
    return {"State": {"Status": status, "Health": {"Status": health}}, "RestartCount": restarts}


@pytest.mark.parametrize(
    ("states", "probes", "test", "well"),
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
    ids=["healthy", "probe", "starts late", "no check", "NONE", "over and over", "gone", "never well", "ended"],
)
def test_outcome(states: list[dict[str, Any]], probes: list[int], test: list[str], well: bool) -> None:
    assert Fake(states, probes).wait(test).well is well


def test_it_looks_often_at_first_and_then_less() -> None:
    host = Fake([state()], [1])
    outcome = host.wait(seconds=20)
    assert (outcome.said, outcome.waited) == ("the probe's word", host.now)
    assert host.slept[:3] == pytest.approx([0.2, 0.3, 0.45])
    assert host.slept[-1] == module.LONGEST_PAUSE
    assert 20 <= host.now < 20 + module.LONGEST_PAUSE + 0.2
    assert set(map(tuple, host.asked)) == {("probe", "api")}


@pytest.mark.parametrize(
    ("test", "command"),
    [(["CMD", "a", "b"], ["a", "b"]), (["CMD-SHELL", "a | b"], ["sh", "-c", "a | b"]), (["NONE"], []), ([], [])],
)
def test_command(test: list[str], command: list[str]) -> None:
    assert module.command_of(test) == command


def test_pauses_have_no_end() -> None:
    found: Iterator[float] = module.pauses()
    assert [next(found) for _number in range(50)][-1] == module.LONGEST_PAUSE


def test_what_is_told_of_one_that_is_not_well() -> None:
    (text,) = module.wait_for_all([{"name": "api", "test": TEST}], 0, "logs", Fake([state(restarts=5)]))
    for words in (
        "did not become healthy within 0 s, and was given up",
        "started again 5 times",
        "probe api, said last",
        "    last",
    ):
        assert words in text
    assert "volume logs" in text
    assert module.wait_for_all([{"name": "api", "test": TEST}], 0, "logs", Fake([state()], [0])) == []
    assert module.wait_for_all([], 0, "logs", Fake([{}])) == []

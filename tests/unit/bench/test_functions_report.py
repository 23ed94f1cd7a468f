# SPDX-License-Identifier: Apache-2.0
"""The tables of the function benchmark, and the arithmetic of the sizes script."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

import sizes
from functions import report

RUN: dict[str, Any] = {
    "label": "Swarm",
    "machine": "2 CPUs",
    "workers": 3,
    "invocations": {
        report.WARM: report.summary([0.03, 0.04, 0.05]),
        "warm, 4 at once": {**report.summary([0.1]), "rate": 12.34, "failed": 2},
    },
    "parts": {
        "API: database": report.summary([0.01]),
        report.FLOOR: report.summary([0.02]),
        report.INSIDE: report.summary([0.005]),
    },
}


def test_summary() -> None:
    assert report.summary([0.003, 0.001, 0.0021]) == {"median": 2.1, "min": 1.0, "max": 3.0, "count": 3}


def test_shares_add_up_to_the_total() -> None:
    rows = report.shares(40, RUN["parts"])
    assert rows == [("API: database", 10.0, 0.25), (report.FLOOR, 20.0, 0.5), (report.REST, 10.0, 0.25)]
    assert sum(median for _name, median, _share in rows) == 40


@pytest.mark.parametrize(("floor", "allowed"), [(0, 20), (10, 50)])
def test_goal(floor: float, allowed: float) -> None:
    assert report.goal(floor) == allowed


def test_section_states_whether_the_goal_is_met() -> None:
    text = report.section(RUN)
    assert "80.0 ms; measured 40.0 ms: met." in text
    assert "| warm, 4 at once | 100.0 | 100.0 | 100.0 | 1 | 12.3 | 2 |" in text
    assert "| API: database | 10.0 | 25% |" in text
    slow = {**RUN, "invocations": {report.WARM: report.summary([0.1])}}
    assert "not met" in report.section(slow)


def test_section_without_parts_has_no_goal() -> None:
    assert "Goal" not in report.section({**RUN, "parts": {}})


def test_page_has_all_runs() -> None:
    page = report.page({"Swarm": RUN, "Kubernetes": {**RUN, "label": "Kubernetes"}})
    assert page.startswith("# ")
    assert "## Swarm\n" in page
    assert "## Kubernetes\n" in page


def test_sizes() -> None:
    assert sizes.largest({"a": 1, "b": 3, "c": 2}, 2) == [("b", 3), ("c", 2)]
    assert sizes.own_layer(["7", "100"]) == 7
    assert sizes.proportional("Rss:  9 kB\nPss:   2 kB\nPss_Dirty: 1 kB\n") == 2048

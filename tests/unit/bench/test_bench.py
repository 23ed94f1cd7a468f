# SPDX-License-Identifier: Apache-2.0
"""The benchmark's arithmetic, tables, plot and command line, without measurements."""

from __future__ import annotations

import argparse
from typing import Any
from xml.etree import ElementTree

import pytest
from bench_figures import (
    Measure,
    Row,
    Spread,
    cpu_ratio,
    find,
    from_json,
    goals,
    measure,
    merge,
    operations,
    origin,
    profile,
    ratio,
    spread,
    to_json,
)
from bench_plot import short, svg, ticks
from bench_report import (
    actions_table,
    comparison_text,
    document,
    figures_table,
    goals_text,
    profile_text,
    seconds_text,
    table,
)
from bench_sides import inventory, names, with_mounts

from bench import arguments, choices, hosts

LINES = "a\texec\t0.5000\t0.2500\na\texec\t0.5000\t0.2500\na\tput\t0.1000\t0.0000\nb\tfetch\t0.4000\t0.0000\n"
REPORT: dict[str, Any] = {
    "begin": 101.0,
    "end": 106.0,
    "tasks": [
        {"name": "one", "action": "command", "start": 102.0, "hosts": 2},
        {"name": "two", "action": "debug", "start": 105.0, "hosts": 1},
    ],
    "started": {"a": 2, "b": 1},
    "hosts": {"a": {"changed": 1}, "b": {"changed": 2}},
}


def row(side: str, *seconds: float, real: bool = True, count: int = 1, case: str = "same", trips: int = 3) -> Row:
    """Return a row with one measure for each of `seconds`."""
    return Row(real, count, case, side, [Measure(value, 1.0, 0.5, trips, 0, 7, 0) for value in seconds])


@pytest.mark.parametrize(
    ("text", "by_host", "seconds", "cpu"),
    [
        ("", {}, 0.0, 0.0),
        (LINES, {"a": {"exec": 2, "put": 1}, "b": {"fetch": 1}}, 1.5, 0.5),
    ],
)
def test_operations(text: str, by_host: dict[str, dict[str, int]], seconds: float, cpu: float) -> None:
    found = operations(text)
    assert (found.by_host, round(found.seconds, 4), round(found.cpu, 4)) == (by_host, seconds, cpu)


@pytest.mark.parametrize(
    ("kinds", "most"), [(("exec",), 2), (("put",), 1), (("exec", "put", "fetch"), 3), (("fetch",), 1), ((), 0)]
)
def test_most_is_of_the_busiest_host(kinds: tuple[str, ...], most: int) -> None:
    assert operations(LINES).most(*kinds) == most


def test_no_operations_have_no_round_trips() -> None:
    assert operations("").most("exec") == 0


def test_measure() -> None:
    assert measure(6.0, 4.5, operations(LINES), REPORT) == Measure(
        seconds=6.0, cpu_controller=4.0, cpu_hosts=0.5, round_trips=3, transfers=1, tasks=2, changed=3
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [([2.0], Spread(2.0, 2.0, 2.0)), ([3.0, 1.0, 2.0], Spread(2.0, 1.0, 3.0)), ([1.0, 2.0], Spread(1.5, 1.0, 2.0))],
)
def test_spread(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (row("whole", 3.0), row("kolla", 12.0), 0.25),
        (None, row("kolla", 12.0), None),
        (row("whole", 3.0), None, None),
        (row("whole", 3.0), row("kolla", 0.0), None),
    ],
)
def test_ratio(ours: Row | None, theirs: Row | None, expected: float | None) -> None:
    assert ratio(ours, theirs) == expected


def test_cpu_ratio() -> None:
    one, other = Row(True, 1, "same", "whole", [Measure(1, 2, 1, 1, 0, 1, 0)]), row("kolla", 9.0)
    assert cpu_ratio(one, other) == 2
    assert cpu_ratio(one, None) is None
    assert cpu_ratio(None, other) is None


def test_rows_are_restored_from_json() -> None:
    rows = [row("kolla", 1.0, 2.0), row("whole", 3.0, real=False, count=50)]
    assert from_json(to_json(rows)) == rows


def test_find_ignores_rows_without_runs() -> None:
    assert find([row("kolla")], True, 1, "same", "kolla") is None


@pytest.mark.parametrize(
    ("rows", "met"),
    [
        ([], [None, None, None, None, None, None]),
        ([row("kolla", 15.0), row("whole", 3.0)], [True, True, None, None, None, None]),
        ([row("kolla", 15.0), row("whole", 3.1, trips=7)], [False, False, None, None, None, None]),
        ([row("whole", 3.0, trips=7, case="upgrade")], [None, False, None, None, None, None]),
        ([row("kolla", 15.0, trips=40)], [None, None, None, None, None, None]),
        (
            [row("containers", 2.0, real=False), row("containers", 4.0, real=False, count=50)],
            [None, True, True, None, None, None],
        ),
        (
            [row("whole", 2.0, real=False), row("whole", 4.1, real=False, count=50)],
            [None, True, None, False, None, None],
        ),
        ([row("whole", 59.0, case="first")], [None, None, None, None, True, None]),
        ([row("whole", 60.0, case="first")], [None, None, None, None, False, None]),
    ],
)
def test_goals(rows: list[Row], met: list[bool | None]) -> None:
    assert [goal.met for goal in goals(rows)] == met


def test_goals_text() -> None:
    lines = goals_text(goals([row("kolla", 15.0), row("whole", 5.0)])).splitlines()
    assert lines[0].endswith("**not met** (0.33)")
    assert lines[1].endswith(": met (at most 3: same)")
    assert lines[-1].endswith(": not measured")
    assert [goal.met for goal in (goals([], 9.9)[-1], goals([], 10)[-1])] == [True, False]


@pytest.mark.parametrize(
    ("value", "text"),
    [(Spread(2.0, 2.0, 2.0), "2.0"), (Spread(2.0, 1.0, 3.25), "2.0 (1.0 to 3.2)")],
)
def test_seconds_text(value: Spread, text: str) -> None:
    assert seconds_text(value) == text


def test_table_aligns_columns() -> None:
    assert table(("what", "s"), [("one", "1"), ("second", "10.5")]).splitlines() == [
        "| what   |    s |",
        "| ------ | ---: |",
        "| one    |    1 |",
        "| second | 10.5 |",
    ]


def test_table_escapes_bars() -> None:
    assert table(("what", "s"), [("a | b", "1")]).splitlines()[-1] == r"| a \| b |   1 |"


def test_figures_table() -> None:
    rows = [row("kolla", 10.0), row("whole", 2.0, 3.0), row("kolla", 99.0, count=3, real=False)]
    lines = figures_table(rows, True, 1).splitlines()
    assert len(lines) == 5
    assert "**reconfigure, nothing changed**" in lines[2]
    cells = [cell.strip() for cell in lines[4].split("|")]
    assert cells[2:] == ["2.5 (2.0 to 3.0)", "0.25", "1.0", "0.5", "1.00", "7", "3", "0", "2", ""]


def test_actions_table_has_measured_actions() -> None:
    assert actions_table([row("whole", 3.0)]) == ""
    lines = actions_table([row("whole", 3.0, case="check"), row("whole", 2.25, case="prechecks")]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["prechecks", "2.25", "7", "3", "0"]
    assert len(lines) == 4


def test_profile() -> None:
    found = profile(100.0, 7.0, 4.5, operations(LINES), REPORT)
    assert (found.before, found.after, found.cpu_controller, found.cpu_hosts) == (2.0, 1.0, 4.0, 0.5)
    assert [(step.name, step.seconds) for step in found.steps] == [("one", 3.0), ("two", 1.0)]
    text = profile_text("ours", found, most=1)
    assert text.startswith("ours: 7.0 s, 2 tasks.")
    assert "Idle time: at least 2.5 s" in text
    assert [line.split("|")[1].strip() for line in text.splitlines()[4:]] == [
        "before the first task (Ansible's start, inventory, playbooks)",
        "one",
        "1 other tasks",
        "after the last task",
    ]


def test_comparison_has_common_rows() -> None:
    lines = comparison_text([row("whole", 3.0), row("kolla", 9.0)], [row("whole", 6.0, trips=9)]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["1, same, whole", "6.0", "3.0", "0.50", "9 → 3"]
    assert len(lines) == 3


def test_document_has_a_section_per_number_of_hosts() -> None:
    rows = [row("kolla", 9.0), row("kolla", 9.0, real=False), row("whole", 3.0, real=False, count=50)]
    text = document(rows, goals(rows), {}, {"Date": "2026-01-01"})
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "## Goals",
        "## 1 host, real containers",
        "## 1 host, simulated (containers stubbed)",
        "## 50 hosts, simulated (containers stubbed)",
        "## Legend",
    ]


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(1.0, 10.0, [1, 2, 5, 10]), (1.5, 60.0, [1, 2, 5, 10, 20, 50, 100]), (0.3, 0.4, [0.2, 0.5]), (1.0, 1.0, [1, 2])],
)
def test_ticks(least: float, most: float, expected: list[float]) -> None:
    assert [round(tick, 6) for tick in ticks(least, most)] == expected


@pytest.mark.parametrize(("value", "text"), [(0.25, "0.2"), (9.94, "9.9"), (12.4, "12")])
def test_short(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("rows", "bars"),
    [
        ([], 0),
        ([row("kolla", 15.0)], 1),
        ([row("kolla", 15.0), row("whole", 3.0), row("kolla", 400.0, real=False, count=50, case="first")], 3),
    ],
)
def test_svg_is_well_formed_and_has_a_bar_per_row(rows: list[Row], bars: int) -> None:
    root = ElementTree.fromstring(svg(rows))
    # The page and the legend have rectangles as well.
    assert len(root.findall(".//{http://www.w3.org/2000/svg}rect")) - 4 == bars
    for element in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(element.get("height", "0").rstrip("%")) > 0


@pytest.mark.parametrize(
    ("text", "expected"), [("real", [(True, 1)]), ("real,3", [(True, 1), (False, 3)]), ("50", [(False, 50)])]
)
def test_hosts(text: str, expected: list[tuple[bool, int]]) -> None:
    assert hosts(text) == expected


@pytest.mark.parametrize(("reader", "text"), [(hosts, "many"), (choices(["a", "b"]), "a,c")])
def test_unknown_words_are_refused(reader: Any, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        reader(text)


def test_choices_keep_their_order() -> None:
    assert choices(["a", "b", "c"])("c,a") == ["a", "c"]


def test_command_line() -> None:
    found = arguments(["--hosts", "1", "--sides", "whole,kolla", "--runs", "2"])
    assert (found.hosts, found.sides, found.runs, found.profile) == ([(False, 1)], ["kolla", "whole"], 2, False)


def test_inventory() -> None:
    text = inventory(names(2), ["mariadb"], ["qinling"], "/python")
    assert text.split("\n\n") == [
        "[control]\nbench1 ansible_connection=bench_local ansible_python_interpreter=/python\n"
        "bench2 ansible_connection=bench_local ansible_python_interpreter=/python",
        "[mariadb]\nbench1",
        "[qinling:children]\ncontrol",
        "[deployment]",
        "[loadbalancer]\n",
    ]


def test_without_mounts_a_command_stays_as_it_is() -> None:
    assert with_mounts([], ["true"]) == ["true"]


def test_missing_rows_are_added_from_earlier_figures() -> None:
    now, then = [row("kolla", 1.0)], [row("kolla", 9.0), row("kolla", 8.0, count=50, real=False)]
    assert [(found.hosts, found.runs[0].seconds) for found in merge(now, then)] == [(1, 1.0), (50, 8.0)]


def test_figures_name_all_their_runs() -> None:
    first = {"Collection": "commit a"}
    second = {"Collection": "commit b", "Taken along": origin(first)}
    assert origin(first) == "what this run did not measure, of commit a"
    assert origin(second) == ("what this run did not measure, of commit b; what that one did not measure, of commit a")
    third = {"Collection": "commit c", "Taken along": origin(second)}
    assert origin(third).count("this run") == 1
    assert [name in origin(third) for name in ("commit a", "commit b", "commit c")] == [True] * 3

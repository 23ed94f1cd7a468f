# SPDX-License-Identifier: Apache-2.0
"""A benchmark's figures as text for people: tables in Markdown, goals, profile, comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench_figures import ACTIONS, CASES, SIDES, Goal, Profile, Row, Spread, cpu_ratio, find, ratio


def seconds_text(value: Spread) -> str:
    """Takes a spread of seconds, returns it as median (least to greatest)."""
    if value.least == value.most:
        return f"{value.median:.1f}"
    return f"{value.median:.1f} ({value.least:.1f} to {value.most:.1f})"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Takes a head and lines, returns a Markdown table whose columns are in line; all but the first are numbers."""
    # Names of tasks have bars in them.
    rows = [[cell.replace("|", r"\|") for cell in line] for line in (head, *lines)]
    widths = [max(3, *(len(row[index]) for row in rows)) for index in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if not index else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join([line(rows[0]), line(rule), *(line(row) for row in rows[1:])])


HEAD = (
    "what",
    "seconds",
    "of Kolla's",
    "CPU, Ansible",
    "CPU, hosts",
    "of Kolla's",
    "tasks",
    "round trips",
    "changed",
    "runs",
)


def figures_table(rows: list[Row], real: bool, hosts: int) -> str:
    """Takes rows, and which hosts; returns their table, all cases in it."""
    lines: list[tuple[str, ...]] = []
    for case, title in CASES.items():
        found = [row for side in SIDES if (row := find(rows, real, hosts, case, side))]
        if found:
            lines.append((f"**{title}**", *([""] * (len(HEAD) - 1))))
        kolla = find(rows, real, hosts, case, "kolla")
        for row in found:
            share, cpu_share = (None, None) if row.side == "kolla" else (ratio(row, kolla), cpu_ratio(row, kolla))
            lines.append(
                (
                    SIDES[row.side],
                    seconds_text(row.seconds),
                    "" if share is None else f"{share:.2f}",
                    f"{row.middle('cpu_controller'):.1f}",
                    f"{row.middle('cpu_hosts'):.1f}",
                    "" if cpu_share is None else f"{cpu_share:.2f}",
                    f"{row.middle('tasks'):g}",
                    f"{row.middle('round_trips'):g}",
                    f"{row.middle('changed'):g}",
                    str(len(row.runs)),
                )
            )
    return table(HEAD, lines)


def actions_table(rows: list[Row]) -> str:
    """Takes rows, returns the table of the actions among them, or nothing."""
    found = [row for action in ACTIONS if (row := find(rows, True, 1, action, "whole"))]
    names = ("seconds", "tasks", "round_trips", "changed")
    lines = [(row.case, *(f"{row.middle(name):.4g}" for name in names)) for row in found]
    return table(("action", "seconds", "tasks", "round trips", "changed"), lines) if lines else ""


def goals_text(goals: Iterable[Goal]) -> str:
    """Takes goals, returns a list that says of each whether it is met."""
    words = {True: "met", False: "**not met**", None: "not measured"}
    return "\n".join(f"- {goal.text}: {words[goal.met]}{f' ({goal.seen})' if goal.seen else ''}" for goal in goals)


def profile_text(title: str, found: Profile, most: int = 15) -> str:
    """Takes a title and a profile, returns what took longest, and what was computing and what waiting."""
    by_task: dict[str, list[float]] = defaultdict(list)
    for step in found.steps:
        by_task[step.name].append(step.seconds)
    longest = sorted(by_task.items(), key=lambda item: -sum(item[1]))
    lines = [
        ("until the first task (Ansible's start, inventory, playbooks)", "", f"{found.before:.2f}"),
        *((name, str(len(took)), f"{sum(took):.2f}") for name, took in longest[:most]),
        (
            f"all {max(len(longest) - most, 0)} others",
            str(sum(len(took) for _name, took in longest[most:])),
            f"{sum(sum(took) for _name, took in longest[most:]):.2f}",
        ),
        ("after the last task", "", f"{found.after:.2f}"),
    ]
    idle = max(found.seconds - found.cpu_controller - found.cpu_hosts, 0.0)
    return "\n".join(
        [
            f"{title}: {found.seconds:.1f} s, {len(found.steps)} tasks. CPU seconds: {found.cpu_controller:.1f} of "
            f"Ansible, {found.cpu_hosts:.1f} of what it ran on hosts. Calls to hosts lasted {found.connected:.1f} s, "
            f"summed. At least {idle:.1f} s went by without either (waiting, or others had the processors).",
            "",
            table(("task", "times", "seconds"), lines),
        ]
    )


def comparison_text(rows: list[Row], earlier: list[Row]) -> str:
    """Takes rows and those of an earlier benchmark, returns the medians of what is in both, side by side."""
    lines = []
    for row in rows:
        other = find(earlier, row.real, row.hosts, row.case, row.side)
        share = ratio(row, other)
        if other is None or share is None or not row.runs:
            continue
        name = f"{row.hosts}{'' if row.real else ' simulated'}, {row.case}, {row.side}"
        trips = f"{other.middle('round_trips'):g} → {row.middle('round_trips'):g}"
        lines.append((name, f"{other.seconds.median:.1f}", f"{row.seconds.median:.1f}", f"{share:.2f}", trips))
    return table(("hosts, case, side", "earlier s", "now s", "ratio", "round trips"), lines)


def document(rows: list[Row], goals: list[Goal], profiles: Mapping[str, Profile], facts: Mapping[str, str]) -> str:
    """Takes everything that was measured, and facts of the machine; returns results/benchmark.md."""
    hosts = sorted({(not row.real, row.hosts) for row in rows})
    parts = [
        "# Benchmark",
        "Written by `make bench`. The [README](../README.md) says what is measured, and what stands in for what.",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "![Seconds of each case, by hosts](benchmark.svg)",
        "## Goals",
        goals_text(goals),
    ]
    for simulated, count in hosts:
        title = f"{count} host{'s' if count > 1 else ''}"
        parts += [
            f"## {title}, {'simulated (containers stubbed)' if simulated else 'real containers'}",
            figures_table(rows, not simulated, count),
        ]
    if actions_table(rows):
        parts += ["## Each action without change, one host, real containers", actions_table(rows)]
    if profiles:
        parts += [
            "## Where the time goes",
            "Of a reconfigure without change. Seconds of a task last until the next one starts.",
        ]
        parts += [profile_text(name, found) for name, found in profiles.items()]
    parts.append(LEGEND)
    return "\n\n".join(parts) + "\n"


LEGEND = """\
## Legend

- Seconds: median (least to greatest), from the start of `ansible-playbook` to its end. *Of Kolla's*: its share of
  Kolla's median of the same case, in the same run.
- CPU: seconds of processors, of Ansible itself, and of what it ran on all hosts, which is this machine as well. They
  depend less than seconds do on what else the machine does.
- Tasks: started on the busiest host, skipped ones included. Round trips: operations on the busiest host's connection,
  each of which is one by SSH with pipelining; what is delegated to the controller is not among them.
- Kolla's side does less: it registers nothing in Keystone, makes no schema, starts no bootstrap container, runs no
  prechecks, and waits for no container to become healthy. Its containers run a stand-in for magnum's programs; systemd,
  which its container module asks to start them, is a stub that asks Docker at once.
- Simulated hosts are local connections to this machine, each with a configuration directory of its own, and with a
  stub of Docker that has no containers and answers at once; this collection does not ask images about options there."""

# SPDX-License-Identifier: Apache-2.0
"""Reports of a benchmark in Markdown: tables, goals, profile, comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench_figures import ACTIONS, CASES, SIDES, Goal, Profile, Row, Spread, cpu_ratio, find, ratio


def seconds_text(value: Spread) -> str:
    """Format a spread of seconds as "median (minimum to maximum)"."""
    if value.least == value.most:
        return f"{value.median:.1f}"
    return f"{value.median:.1f} ({value.least:.1f} to {value.most:.1f})"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Format an aligned table in Markdown; all columns except the first are right-aligned."""
    # Names of tasks contain bars.
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
    """Format the figures of all cases for a number of hosts."""
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
                    f"{row.median('cpu_controller'):.1f}",
                    f"{row.median('cpu_hosts'):.1f}",
                    "" if cpu_share is None else f"{cpu_share:.2f}",
                    f"{row.median('tasks'):g}",
                    f"{row.median('round_trips'):g}",
                    f"{row.median('changed'):g}",
                    str(len(row.runs)),
                )
            )
    return table(HEAD, lines)


def actions_table(rows: list[Row]) -> str:
    """Format the figures of the actions; return an empty string without any."""
    found = [row for action in ACTIONS if (row := find(rows, True, 1, action, "whole"))]
    names = ("seconds", "tasks", "round_trips", "changed")
    lines = [(row.case, *(f"{row.median(name):.4g}" for name in names)) for row in found]
    return table(("action", "seconds", "tasks", "round trips", "changed"), lines) if lines else ""


def goals_text(goals: Iterable[Goal]) -> str:
    """Format goals as a list with their results."""
    words = {True: "met", False: "**not met**", None: "not measured"}
    return "\n".join(
        f"- {goal.text}: {words[goal.met]}{f' ({goal.measured})' if goal.measured else ''}" for goal in goals
    )


def profile_text(title: str, found: Profile, most: int = 15) -> str:
    """Format a profile: the `most` slowest tasks, and the shares of computing and waiting."""
    by_task: dict[str, list[float]] = defaultdict(list)
    for step in found.steps:
        by_task[step.name].append(step.seconds)
    longest = sorted(by_task.items(), key=lambda item: -sum(item[1]))
    lines = [
        ("before the first task (Ansible's start, inventory, playbooks)", "", f"{found.before:.2f}"),
        *((name, str(len(took)), f"{sum(took):.2f}") for name, took in longest[:most]),
        (
            f"{max(len(longest) - most, 0)} other tasks",
            str(sum(len(took) for _name, took in longest[most:])),
            f"{sum(sum(took) for _name, took in longest[most:]):.2f}",
        ),
        ("after the last task", "", f"{found.after:.2f}"),
    ]
    idle = max(found.seconds - found.cpu_controller - found.cpu_hosts, 0.0)
    return "\n".join(
        [
            f"{title}: {found.seconds:.1f} s, {len(found.steps)} tasks. CPU seconds: {found.cpu_controller:.1f} of "
            f"Ansible, {found.cpu_hosts:.1f} of processes on hosts. Calls to hosts took {found.connected:.1f} s. "
            f"Idle time: at least {idle:.1f} s (waiting, or other processes had the CPUs).",
            "",
            table(("task", "times", "seconds"), lines),
        ]
    )


def comparison_text(rows: list[Row], earlier: list[Row]) -> str:
    """Format the medians of cases that exist in both benchmarks."""
    lines = []
    for row in rows:
        other = find(earlier, row.real, row.hosts, row.case, row.side)
        share = ratio(row, other)
        if other is None or share is None or not row.runs:
            continue
        name = f"{row.hosts}{'' if row.real else ' simulated'}, {row.case}, {row.side}"
        trips = f"{other.median('round_trips'):g} → {row.median('round_trips'):g}"
        lines.append((name, f"{other.seconds.median:.1f}", f"{row.seconds.median:.1f}", f"{share:.2f}", trips))
    return table(("hosts, case, side", "earlier s", "now s", "ratio", "round trips"), lines)


def document(rows: list[Row], goals: list[Goal], profiles: Mapping[str, Profile], facts: Mapping[str, str]) -> str:
    """Return the text of results/benchmark.md."""
    hosts = sorted({(not row.real, row.hosts) for row in rows})
    parts = [
        "# Benchmark",
        "Generated by `make bench`. The [README](../README.md) describes the measurements and their substitutes.",
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
        parts += ["## Each action without changes, one host, real containers", actions_table(rows)]
    if profiles:
        parts += [
            "## Profile",
            "Reconfigure without changes. The duration of a task ends when the next one starts.",
        ]
        parts += [profile_text(name, found) for name, found in profiles.items()]
    parts.append(LEGEND)
    return "\n\n".join(parts) + "\n"


LEGEND = """\
## Legend

- Seconds: median (minimum to maximum) from the start to the end of `ansible-playbook`. *Of Kolla's*: ratio to Kolla's
  median of the same case in the same run.
- CPU: CPU seconds of Ansible, and of its processes on all hosts, which share this machine. They depend less on other
  load than the duration.
- Tasks: tasks started on the busiest host, including skipped ones. Round trips: operations on the busiest host's
  connection, each one round trip by SSH with pipelining, without tasks delegated to the controller.
- Kolla's side does less: no registration in Keystone, no schema, no bootstrap container, no prechecks, and no waiting
  for healthy containers. Its containers run a substitute for magnum's programs, and a stub replaces systemd, through
  which its container module starts containers.
- Simulated hosts are local connections with separate configuration directories and a stub of Docker without real
  containers, which answers at once. This collection does not validate options in images there."""

# SPDX-License-Identifier: Apache-2.0
"""Pure functions that make tables of samples."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Samples = list[float]
FLOOR = "worker: its answer (floor)"
# Measured, but no part of what a warm invocation consists of.
INSIDE = "worker: the function itself"
BESIDE = (INSIDE, "ping, which only a cold invocation needs")
WARM = "warm, one after the other"
REST = "rest: dispatch, JSON, logs, scheduling of processes"


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of samples in seconds as milliseconds, and how many there are."""
    return {
        "median": round(statistics.median(samples) * 1000, 2),
        "min": round(min(samples) * 1000, 2),
        "max": round(max(samples) * 1000, 2),
        "count": len(samples),
    }


def goal(floor: float) -> float:
    """Return how long a warm invocation may take at most, in the unit of milliseconds that the floor has."""
    return 3 * floor + 20


def shares(total: float, parts: Mapping[str, Mapping[str, float]]) -> list[tuple[str, float, float]]:
    """Return (part, its median, its share of `total`), and the rest that is in no part."""
    counting = {name: part["median"] for name, part in parts.items() if name not in BESIDE}
    rows = [(name, median, median / total) for name, median in counting.items()]
    rest = total - sum(median for _, median, _ in rows)
    return [*rows, (REST, round(rest, 2), rest / total)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---{'|--:' * (len(head) - 1)}|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _times(row: Mapping[str, float]) -> list[object]:
    return [f"{row['median']:.1f}", f"{row['min']:.1f}", f"{row['max']:.1f}", int(row["count"])]


def section(run: Mapping[str, Any]) -> str:
    """Return the Markdown of one run."""
    invocations = run["invocations"]
    rows = [
        [name, *_times(row), f"{row['rate']:.1f}" if "rate" in row else "", row.get("failed", "")]
        for name, row in invocations.items()
    ]
    text = [
        f"## {run['label']}",
        "",
        f"{run['machine']}; {run['workers']} workers in the runtime; times in ms.",
        "",
        table(["invocation", "median", "min", "max", "count", "a second", "failed"], rows),
    ]
    parts = run.get("parts") or {}
    if parts:
        total = invocations[WARM]["median"]
        floor = parts[FLOOR]["median"]
        verdict = "met" if total <= goal(floor) else "not met"
        text += [
            "",
            f"Goal: at most 3 times the worker's own answer plus 20 ms, {goal(floor):.1f} ms; measured "
            f"{total:.1f} ms: {verdict}.",
            "",
            table(
                ["part of a warm invocation", "median", "share"],
                [[name, f"{median:.1f}", f"{share:.0%}"] for name, median, share in shares(total, parts)],
            ),
            "",
            "; ".join(f"{name}: {parts[name]['median']:.1f}" for name in BESIDE if name in parts) + ".",
        ]
    return "\n".join(text) + "\n"


def page(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of all runs."""
    head = [
        "# Invocation of functions, measured",
        "",
        "Written by `make bench-functions`, which measures a deployment that runs (`KOLLA_CONFIG_DIR`), from the",
        "request of a client on the same machine to its answer. The function returns a number. Cold: a free worker",
        "is taken, and fetches the package. The parts are measured one by one inside of the containers of API and",
        "engine, each as the service itself does it, so that their sum leaves out what only happens in between.",
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(section(run) for run in runs.values())

# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a benchmark's raw data: figures of a run, medians, goals."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

CASES = {
    "first": "first deploy, images present",
    "same": "reconfigure, nothing changed",
    "option": "reconfigure, one option changed",
    "certificate": "reconfigure, certificate rotated",
}
# Actions without changes, each run once to count its round trips.
ACTIONS = ("prechecks", "validate-config", "genconfig", "pull", "deploy-containers", "reconfigure", "upgrade", "check")
SIDES = {
    "kolla": "Kolla Ansible, magnum: configuration and containers",
    "containers": "qinling.kolla, the same work (deploy-containers)",
    "whole": "qinling.kolla, whole (deploy, reconfigure)",
}


@dataclass(frozen=True)
class Operations:
    """The operations on the connections of a run: counts by host and kind, and sums of seconds and CPU seconds."""

    by_host: dict[str, dict[str, int]]
    seconds: float
    cpu: float

    def most(self, *kinds: str) -> int:
        """Return the number of operations of some kinds on the busiest host."""
        return max((sum(counts.get(kind, 0) for kind in kinds) for counts in self.by_host.values()), default=0)


def operations(text: str) -> Operations:
    """Parse the lines of the connection plugin bench_local."""
    by_host: dict[str, Counter[str]] = defaultdict(Counter)
    seconds = cpu = 0.0
    for line in text.splitlines():
        host, kind, took, used = line.split("\t")
        by_host[host][kind] += 1
        seconds += float(took)
        cpu += float(used)
    return Operations({host: dict(counts) for host, counts in by_host.items()}, seconds, cpu)


@dataclass(frozen=True)
class Measure:
    """The figures of a run: duration, CPU seconds of Ansible and of processes on hosts, and counts."""

    seconds: float
    cpu_controller: float
    cpu_hosts: float
    round_trips: int
    transfers: int
    tasks: int
    changed: int


def measure(seconds: float, cpu: float, counted: Operations, report: Mapping[str, Any]) -> Measure:
    """Return the figures of a run from its duration, CPU seconds, operations and callback report."""
    return Measure(
        seconds=round(seconds, 2),
        # Hosts are local, so the sum includes their processes.
        cpu_controller=round(max(cpu - counted.cpu, 0.0), 2),
        cpu_hosts=round(counted.cpu, 2),
        round_trips=counted.most("exec", "put", "fetch"),
        transfers=counted.most("put", "fetch"),
        tasks=max(report["started"].values(), default=0),
        changed=sum(sums["changed"] for sums in report["hosts"].values()),
    )


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of a figure."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Return median, minimum and maximum of at least one value."""
    found = sorted(values)
    return Spread(round(statistics.median(found), 2), found[0], found[-1])


@dataclass
class Row:
    """The runs of a case on one side; `real` is false for simulated hosts."""

    real: bool
    hosts: int
    case: str
    side: str
    runs: list[Measure]

    @property
    def seconds(self) -> Spread:
        """Return the spread of the durations."""
        return spread(run.seconds for run in self.runs)

    def median(self, name: str) -> float:
        """Return the median of a figure."""
        return spread(getattr(run, name) for run in self.runs).median


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows as data for JSON."""
    return [asdict(row) for row in rows]


def from_json(data: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return rows from data of JSON."""
    return [Row(**{**item, "runs": [Measure(**run) for run in item["runs"]]}) for item in data]


def find(rows: Iterable[Row], real: bool, hosts: int, case: str, side: str) -> Row | None:
    """Return the row of a case if it has runs, or None."""
    for row in rows:
        if (row.real, row.hosts, row.case, row.side) == (real, hosts, case, side) and row.runs:
            return row
    return None


def merge(rows: list[Row], added: Iterable[Row]) -> list[Row]:
    """Return the rows, extended by the rows of another run for cases that they do not contain."""
    return rows + [row for row in added if find(rows, row.real, row.hosts, row.case, row.side) is None]


def origin(added: Mapping[str, str]) -> str:
    """Return the origin of the figures of another run, whose facts `added` may name further origins."""
    own = f"what this run did not measure, of {added['Collection']}"
    earlier = added.get("Taken along", "").replace("this run", "that one", 1)
    return "; ".join(filter(None, [own, earlier]))


def cpu_ratio(row: Row | None, other: Row | None) -> float | None:
    """Return the ratio of the CPU seconds of two rows, of Ansible and on hosts, or None if one is missing."""
    if row is None or other is None:
        return None
    used, reference = (item.median("cpu_controller") + item.median("cpu_hosts") for item in (row, other))
    return used / reference if reference else None


def ratio(row: Row | None, other: Row | None) -> float | None:
    """Return the ratio of the median durations of two rows, or None if one is missing."""
    if row is None or other is None or not other.seconds.median:
        return None
    return row.seconds.median / other.seconds.median


@dataclass(frozen=True)
class Goal:
    """A goal: its text, the measured value, and whether it is met (None: not measured)."""

    text: str
    measured: str
    met: bool | None


def goals(rows: list[Row], make_deploy: float | None = None) -> list[Goal]:
    """Return all goals with the measured values; `make_deploy` is the duration of `make deploy` in minutes."""
    share = ratio(find(rows, True, 1, "same", "whole"), find(rows, True, 1, "same", "kolla"))
    ours = [row for row in rows if row.side != "kolla" and row.case in ("same", *ACTIONS) and row.runs]
    trips = max((row.median("round_trips") for row in ours), default=None)
    busiest = ", ".join(dict.fromkeys(row.case for row in ours if row.median("round_trips") == trips))
    found = [
        Goal(
            "no change, one host: the whole reconfigure takes at most 1/5 of Kolla's configuration and comparison",
            "" if share is None else f"{share:.2f}",
            None if share is None else share <= 0.2,
        ),
        Goal(
            "no change: at most 6 round trips a host, on any action",
            "" if trips is None else f"at most {trips:g}: {busiest}",
            None if trips is None else trips <= 6,
        ),
    ]
    for side in ("containers", "whole"):
        growth = ratio(find(rows, False, 50, "same", side), find(rows, False, 1, "same", side))
        found.append(
            Goal(
                f"no change, 50 hosts take at most twice as long as one ({side})",
                "" if growth is None else f"{growth:.1f} times",
                None if growth is None else growth <= 2,
            )
        )
    first = find(rows, True, 1, "first", "whole")
    return [
        *found,
        Goal(
            "first deploy of everything on one host, images present: under 60 s",
            "" if first is None else f"{first.seconds.median:.1f} s",
            None if first is None else first.seconds.median < 60,
        ),
        Goal(
            "make deploy on a fresh machine: under 10 min",
            "" if make_deploy is None else f"{make_deploy:.1f} min, measured manually",
            None if make_deploy is None else make_deploy < 10,
        ),
    ]


@dataclass(frozen=True)
class Step:
    """A task of a profile: seconds until the next task started, and the number of hosts on which it started."""

    seconds: float
    name: str
    action: str
    hosts: int


@dataclass(frozen=True)
class Profile:
    """The durations of a run's parts: `before` the first task, tasks, `after` the last task."""

    seconds: float
    before: float
    after: float
    steps: list[Step]
    cpu_controller: float
    cpu_hosts: float
    connected: float


def profile(start: float, seconds: float, cpu: float, counted: Operations, report: Mapping[str, Any]) -> Profile:
    """Return the profile of a run from its start, duration, CPU seconds, operations and callback report."""
    tasks = report["tasks"]
    starts = [task["start"] for task in tasks]
    ends = [*starts[1:], report["end"]]
    steps = [
        Step(round(end - task["start"], 3), task["name"], task["action"], task["hosts"])
        for task, end in zip(tasks, ends, strict=True)
    ]
    before = (starts[0] if starts else report["end"]) - start
    return Profile(
        seconds=round(seconds, 2),
        before=round(before, 2),
        after=round(start + seconds - report["end"], 2),
        steps=steps,
        cpu_controller=round(max(cpu - counted.cpu, 0.0), 2),
        cpu_hosts=round(counted.cpu, 2),
        connected=round(counted.seconds, 2),
    )

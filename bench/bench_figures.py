# SPDX-License-Identifier: Apache-2.0
"""What is made of a benchmark's raw files: figures of a run, medians, goals. Nothing here runs anything."""

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
# Playbooks that change nothing where nothing changed, each of which is run once: for its round trips.
ACTIONS = ("prechecks", "validate-config", "genconfig", "pull", "deploy-containers", "reconfigure", "upgrade", "check")
SIDES = {
    "kolla": "Kolla Ansible, magnum: configuration and containers",
    "containers": "qinling.kolla, the same work (deploy-containers)",
    "whole": "qinling.kolla, whole (deploy, reconfigure)",
}


@dataclass(frozen=True)
class Operations:
    """What went over the connections of one run."""

    by_host: dict[str, dict[str, int]]
    seconds: float
    cpu: float

    def most(self, *kinds: str) -> int:
        """Takes kinds of operations, returns how many the busiest host had."""
        return max((sum(counts.get(kind, 0) for kind in kinds) for counts in self.by_host.values()), default=0)


def operations(text: str) -> Operations:
    """Takes the connection plugin's lines, returns the counts a host and the sums of seconds."""
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
    """One run of one case: seconds from start to end, CPU seconds of Ansible and of what ran on hosts, and counts."""

    seconds: float
    cpu_controller: float
    cpu_hosts: float
    round_trips: int
    transfers: int
    tasks: int
    changed: int


def measure(seconds: float, cpu: float, counted: Operations, report: Mapping[str, Any]) -> Measure:
    """Takes seconds and CPU seconds of a whole run, its operations and the callback's report; returns its figures."""
    return Measure(
        seconds=round(seconds, 2),
        # What ran on hosts was local too, and is in the sum.
        cpu_controller=round(max(cpu - counted.cpu, 0.0), 2),
        cpu_hosts=round(counted.cpu, 2),
        round_trips=counted.most("exec", "put", "fetch"),
        transfers=counted.most("put", "fetch"),
        tasks=max(report["started"].values(), default=0),
        changed=sum(sums["changed"] for sums in report["hosts"].values()),
    )


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of a figure."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Takes at least one value, returns median, least and greatest."""
    found = sorted(values)
    return Spread(round(statistics.median(found), 2), found[0], found[-1])


@dataclass
class Row:
    """All runs of one case on one side. `real` tells real containers from simulated hosts."""

    real: bool
    hosts: int
    case: str
    side: str
    runs: list[Measure]

    @property
    def seconds(self) -> Spread:
        """Returns the spread of the seconds."""
        return spread(run.seconds for run in self.runs)

    def middle(self, name: str) -> float:
        """Takes a figure's name, returns its median."""
        return spread(getattr(run, name) for run in self.runs).median


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Takes rows, returns them as plain data."""
    return [asdict(row) for row in rows]


def from_json(data: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Takes plain data, returns its rows."""
    return [Row(**{**item, "runs": [Measure(**run) for run in item["runs"]]}) for item in data]


def find(rows: Iterable[Row], real: bool, hosts: int, case: str, side: str) -> Row | None:
    """Takes rows and what names one of them, returns that if it is there and was run."""
    for row in rows:
        if (row.real, row.hosts, row.case, row.side) == (real, hosts, case, side) and row.runs:
            return row
    return None


def together(rows: list[Row], added: Iterable[Row]) -> list[Row]:
    """Takes rows, and those of another run; returns the rows, with those of the other that they do not have."""
    return rows + [row for row in added if find(rows, row.real, row.hosts, row.case, row.side) is None]


def taken_along(added: Mapping[str, str]) -> str:
    """Return where the figures of another run come from, which may have taken some along itself; takes its facts."""
    own = f"what this run did not measure, of {added['Collection']}"
    earlier = added.get("Taken along", "").replace("this run", "that one", 1)
    return "; ".join(filter(None, [own, earlier]))


def cpu_ratio(row: Row | None, other: Row | None) -> float | None:
    """Takes two rows, returns how much of the other's CPU seconds, of Ansible and on hosts, the first one uses."""
    if row is None or other is None:
        return None
    used, others = (item.middle("cpu_controller") + item.middle("cpu_hosts") for item in (row, other))
    return used / others if others else None


def ratio(row: Row | None, other: Row | None) -> float | None:
    """Takes two rows, returns how much of the other's median the first one's is."""
    if row is None or other is None or not other.seconds.median:
        return None
    return row.seconds.median / other.seconds.median


@dataclass(frozen=True)
class Goal:
    """A budget: what was wanted, what was seen, and whether that meets it (None: not measured)."""

    text: str
    seen: str
    met: bool | None


def goals(rows: list[Row], make_deploy: float | None = None) -> list[Goal]:
    """Takes rows and the minutes of `make deploy` if they are known, returns each budget with what was seen of it."""
    share = ratio(find(rows, True, 1, "same", "whole"), find(rows, True, 1, "same", "kolla"))
    ours = [row for row in rows if row.side != "kolla" and row.case in ("same", *ACTIONS) and row.runs]
    trips = max((row.middle("round_trips") for row in ours), default=None)
    busiest = ", ".join(dict.fromkeys(row.case for row in ours if row.middle("round_trips") == trips))
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
            "" if make_deploy is None else f"{make_deploy:.1f} min, by hand",
            None if make_deploy is None else make_deploy < 10,
        ),
    ]


@dataclass(frozen=True)
class Step:
    """One task of a profile: how long until the next one began, and on how many hosts it was started."""

    seconds: float
    name: str
    action: str
    hosts: int


@dataclass(frozen=True)
class Profile:
    """Where the time of one run went. `before` passes until the first task, `after` after the last one."""

    seconds: float
    before: float
    after: float
    steps: list[Step]
    cpu_controller: float
    cpu_hosts: float
    connected: float


def profile(start: float, seconds: float, cpu: float, counted: Operations, report: Mapping[str, Any]) -> Profile:
    """Takes a run's start and length, its CPU seconds, operations and the callback's report; returns its profile."""
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

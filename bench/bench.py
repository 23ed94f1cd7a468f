# SPDX-License-Identifier: Apache-2.0
"""Run the benchmark; see README.md. Called by `make bench BENCH='…'`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench_figures import (
    ACTIONS,
    CASES,
    SIDES,
    Profile,
    Row,
    from_json,
    goals,
    measure,
    merge,
    origin,
    profile,
    to_json,
)
from bench_plot import svg
from bench_report import actions_table, comparison_text, document, figures_table, goals_text, profile_text
from bench_sides import (
    PROJECT,
    Kolla,
    Qinling,
    Ran,
    RunError,
    Side,
    build_peer_image,
    check_images,
    remove_peer_image,
    sweep,
)

# The figures of the last run, even if it was interrupted.
LAST = PROJECT / ".cache/benchmark.json"


def choices(valid: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated lists with elements of `valid`."""

    def read(text: str) -> list[str]:
        given = text.split(",")
        unknown = [word for word in given if word not in valid]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(valid)}")
        return [word for word in valid if word in given]

    return read


def hosts(text: str) -> list[tuple[bool, int]]:
    """Parse a list such as "real,1,50"; return for each element whether it is real, and the number of hosts."""
    try:
        return [(word == "real", 1 if word == "real" else int(word)) for word in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: expected a list of real and numbers of simulated hosts") from error


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="make bench BENCH='…'", description="Compare this collection with Kolla Ansible."
    )
    parser.add_argument(
        "--hosts",
        type=hosts,
        default=hosts("real,1,3,10,50"),
        help="real: one host with real containers; numbers: simulated hosts",
    )
    cases = [*CASES, "actions"]
    parser.add_argument(
        "--cases",
        type=choices(cases),
        default=cases,
        help=f"{', '.join(cases)} (actions: each action once, on a real host)",
    )
    parser.add_argument("--sides", type=choices(list(SIDES)), default=list(SIDES), help=", ".join(SIDES))
    parser.add_argument("--runs", type=int, default=3, help="runs of each case")
    parser.add_argument("--runs-many", type=int, default=1, help="runs with ten or more hosts")
    parser.add_argument("--forks", type=int, default=20, help="forks of Ansible on both sides")
    parser.add_argument(
        "--profile", action="store_true", help="report the duration of the tasks of a reconfigure without changes"
    )
    parser.add_argument(
        "--make-deploy", type=float, help="minutes of make deploy on a fresh machine, measured manually"
    )
    parser.add_argument("--compare", type=Path, help="JSON file of an earlier benchmark")
    parser.add_argument(
        "--add", type=Path, help="JSON file with figures to add for cases that this run does not measure"
    )
    parser.add_argument(
        "--output", type=Path, default=PROJECT / "bench/results", help="directory of benchmark.md, .svg and .json"
    )
    parser.add_argument("--no-write", action="store_true", help="print the results without writing files")
    return parser.parse_args(given)


class Bench:
    """The measurements of a benchmark."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rows: list[Row] = []
        self.profiles: dict[str, Profile] = {}

    def row(self, real: bool, count: int, case: str, side: str) -> Row:
        """Return the row of a case, which is added if missing."""
        for row in self.rows:
            if (row.real, row.hosts, row.case, row.side) == (real, count, case, side):
                return row
        self.rows.append(Row(real, count, case, side, []))
        return self.rows[-1]

    def record(self, side: Side, name: str, case: str, ran: Ran) -> None:
        """Record and print the figures of a run."""
        found = measure(ran.seconds, ran.cpu, ran.counted, ran.report)
        self.row(side.real, len(side.hosts), case, name).runs.append(found)
        scale = f"{len(side.hosts)} {'real' if side.real else 'simulated'}"
        print(
            f"{scale:>14}  {case:<12} {name:<11} {found.seconds:7.1f} s, "
            f"CPU {found.cpu_controller:.1f} + {found.cpu_hosts:.1f}, {found.tasks} tasks, "
            f"{found.round_trips} round trips ({found.transfers} transfers), {found.changed} changed",
            flush=True,
        )
        if case == "same":
            if found.changed:
                print(f"{'':>14}  Unexpected changes:", flush=True)
                print("\n".join(f"{'':>16}{text}" for text in ran.report["changed"]), flush=True)
            if self.options.profile:
                key = f"{SIDES[name]}, {len(side.hosts)} {'real' if side.real else 'simulated'} host(s)"
                self.profiles[key] = profile(ran.start, ran.seconds, ran.cpu, ran.counted, ran.report)

    def measure(self, sides: dict[str, Kolla | Qinling], runs: int) -> None:
        """Run all cases on each side in turn."""
        cases = [case for case in self.options.cases if case in CASES]
        for number in range(runs):
            if "first" in cases or (not number and cases):
                self.first(sides, "first" in cases)
            for case in cases:
                if case == "first":
                    continue
                for name, side in sides.items():
                    if case == "option":
                        side.set_option()
                    elif case == "certificate":
                        side.rotate()
                    self.record(side, name, case, side.run(name))
        whole = sides.get("whole")
        if "actions" in self.options.cases and isinstance(whole, Qinling) and whole.real:
            self.actions(whole)

    def actions(self, side: Qinling) -> None:
        """Run each action without changes on a deployment."""
        if not side.alive:
            side.run("whole", True)
        for action in ACTIONS:
            self.record(side, "whole", action, side.playbook(action))

    def first(self, sides: dict[str, Kolla | Qinling], timed: bool) -> None:
        """Redeploy each side; record the runs if `timed`."""
        # The whole deployment before containers, which require its database.
        for name, side in sorted(sides.items(), key=lambda item: ["kolla", "whole", "containers"].index(item[0])):
            if isinstance(side, Qinling) and side.real and name == "whole":
                side.destroy()
            elif isinstance(side, Qinling) and side.real and not side.alive:
                side.run("whole", True)
            side.forget(name)
            ran = side.run(name, True)
            if timed:
                self.record(side, name, "first", ran)

    def run(self, folder: Path, cleanup: ExitStack) -> None:
        """Run the selected measurements in a temporary directory, and register the cleanup."""
        selected = self.options.sides
        ours = [name for name in ("containers", "whole") if name in selected]
        real: Qinling | None = None
        check_images()
        sweep()
        cleanup.callback(sweep)
        if any(is_real for is_real, _count in self.options.hosts) or "whole" in ours:
            real = Qinling(folder / "real", 1, True, self.options.forks)
            cleanup.callback(real.close)
        if "kolla" in selected:
            build_peer_image()
            cleanup.callback(remove_peer_image)
        for is_real, count in self.options.hosts:
            with ExitStack() as side_cleanup:
                sides: dict[str, Kolla | Qinling] = {}
                if "kolla" in selected:
                    sides["kolla"] = Kolla(folder / f"kolla-{is_real}-{count}", count, is_real, self.options.forks)
                    side_cleanup.callback(sides["kolla"].close)
                if ours:
                    side = real
                    if not is_real or side is None:
                        side = self.simulated(folder, count, real)
                        side_cleanup.callback(side.close)
                    sides |= dict.fromkeys(ours, side)
                self.measure(sides, self.options.runs if count < 10 else self.options.runs_many)

    def simulated(self, folder: Path, count: int, real: Qinling | None) -> Qinling:
        """Return a deployment on simulated hosts, which uses the backing services of the real deployment if given."""
        if real is not None:
            if real.alive:
                real.forget("containers")
            elif "whole" in self.options.sides:
                real.deploy_backing()
        passwords = real.passwords if real is not None else None
        return Qinling(folder / f"qinling-{count}", count, False, self.options.forks, passwords)


def facts(options: argparse.Namespace, load: float) -> dict[str, str]:
    """Return the facts about machine, versions and options that the figures depend on; `load` is the initial load."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    docker = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "Collection": f"commit {commit.stdout.strip() or 'unknown'}",
        "Compared with": "kolla-ansible 22.2.0 (PyPI), role magnum, with the same Ansible",
        "Machine": f"{os.cpu_count()} CPUs ({model}), load {load:.1f} at the start",
        "Versions": f"Python {platform.python_version()}, Docker {docker.stdout.strip() or 'unknown'}",
        "Forks": f"{options.forks} on both sides, pipelining on",
    }


def main() -> int:
    """Run the benchmark; return 1 if it ended early. Missed goals are only reported."""
    options = arguments()
    # Exit through the cleanup when terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    earlier = from_json(json.loads(options.compare.read_text())["rows"]) if options.compare else []
    bench = Bench(options)
    load = os.getloadavg()[0]
    failed = ""
    folder = Path(tempfile.mkdtemp(prefix="qinling-bench-"))
    try:
        with ExitStack() as cleanup:
            bench.run(folder, cleanup)
    except RunError as error:
        failed = str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [row for row in bench.rows if row.runs]
    known_facts = facts(options, load)
    if options.add:
        added = json.loads(options.add.read_text())
        rows = merge(rows, from_json(added["rows"]))
        known_facts["Taken along"] = origin(added["facts"])
    text = json.dumps({"facts": known_facts, "rows": to_json(rows)}, indent=1) + "\n"
    LAST.parent.mkdir(exist_ok=True)
    LAST.write_text(text)
    for real, count in dict.fromkeys((row.real, row.hosts) for row in rows):
        print(f"\n{count} host(s), {'real containers' if real else 'simulated, containers stubbed'}\n")
        print(figures_table(rows, real, count))
    if actions_table(rows):
        print(f"\nEach action without change\n\n{actions_table(rows)}")
    for title, found in bench.profiles.items():
        print(f"\n{profile_text(title, found)}")
    if earlier:
        print(f"\nCompared with {options.compare}\n\n{comparison_text(rows, earlier)}")
    found_goals = goals(rows, options.make_deploy)
    print(f"\nGoals\n\n{goals_text(found_goals)}")
    if failed:
        print(f"\nThe benchmark ended early: {failed}", file=sys.stderr)
        return 1
    if not options.no_write:
        (options.output / "benchmark.md").write_text(document(rows, found_goals, bench.profiles, known_facts))
        (options.output / "benchmark.svg").write_text(svg(rows))
        (options.output / "benchmark.json").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

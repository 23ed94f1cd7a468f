# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark: see README.md. Called by `make bench BENCH='…'`."""

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
    profile,
    taken_along,
    to_json,
    together,
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

# The figures of the last run, whether it came to its end or not.
LAST = PROJECT / ".cache/benchmark.json"


def words(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Takes known words, returns what reads a list of some of them."""

    def read(text: str) -> list[str]:
        given = text.split(",")
        unknown = [word for word in given if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(known)}")
        return [word for word in known if word in given]

    return read


def hosts(text: str) -> list[tuple[bool, int]]:
    """Takes a list such as "real,1,50", returns of each whether it is real, and how many hosts."""
    try:
        return [(word == "real", 1 if word == "real" else int(word)) for word in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: expected numbers of simulated hosts, and real") from error


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Takes a command line, returns what it says."""
    parser = argparse.ArgumentParser(
        prog="make bench BENCH='…'", description="Measures this collection beside Kolla Ansible."
    )
    parser.add_argument(
        "--hosts",
        type=hosts,
        default=hosts("real,1,3,10,50"),
        help="real: one host with real containers; numbers: simulated hosts",
    )
    cases = [*CASES, "actions"]
    parser.add_argument(
        "--cases", type=words(cases), default=cases, help=f"{', '.join(cases)} (each action once, on a real host)"
    )
    parser.add_argument("--sides", type=words(list(SIDES)), default=list(SIDES), help=", ".join(SIDES))
    parser.add_argument("--runs", type=int, default=3, help="times that each case is run")
    parser.add_argument("--runs-many", type=int, default=1, help="times with ten hosts and more")
    parser.add_argument("--forks", type=int, default=20, help="Ansible's forks, on both sides")
    parser.add_argument(
        "--profile", action="store_true", help="say where the time of a reconfigure without change goes"
    )
    parser.add_argument(
        "--make-deploy", type=float, help="minutes that make deploy took on a fresh machine, measured by hand"
    )
    parser.add_argument("--compare", type=Path, help="the JSON file of an earlier benchmark")
    parser.add_argument("--add", type=Path, help="a JSON file whose figures stand in for what is not measured now")
    parser.add_argument(
        "--output", type=Path, default=PROJECT / "bench/results", help="folder of benchmark.md, .svg and .json"
    )
    parser.add_argument("--no-write", action="store_true", help="print only, write no files")
    return parser.parse_args(given)


class Bench:
    """What is measured, row by row."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rows: list[Row] = []
        self.profiles: dict[str, Profile] = {}

    def row(self, real: bool, count: int, case: str, side: str) -> Row:
        """Takes what names a row, returns it."""
        for row in self.rows:
            if (row.real, row.hosts, row.case, row.side) == (real, count, case, side):
                return row
        self.rows.append(Row(real, count, case, side, []))
        return self.rows[-1]

    def take(self, side: Side, name: str, case: str, ran: Ran) -> None:
        """Takes a run of a case, and keeps its figures."""
        found = measure(ran.seconds, ran.cpu, ran.counted, ran.report)
        self.row(side.real, len(side.hosts), case, name).runs.append(found)
        where = f"{len(side.hosts)} {'real' if side.real else 'simulated'}"
        print(
            f"{where:>14}  {case:<12} {name:<11} {found.seconds:7.1f} s, "
            f"CPU {found.cpu_controller:.1f} + {found.cpu_hosts:.1f}, {found.tasks} tasks, "
            f"{found.round_trips} round trips ({found.transfers} transfers), {found.changed} changed",
            flush=True,
        )
        if case == "same":
            if found.changed:
                print(f"{'':>14}  Something changed, although nothing should have:", flush=True)
                print("\n".join(f"{'':>16}{text}" for text in ran.report["changed"]), flush=True)
            if self.options.profile:
                key = f"{SIDES[name]}, {len(side.hosts)} {'real' if side.real else 'simulated'} host(s)"
                self.profiles[key] = profile(ran.start, ran.seconds, ran.cpu, ran.counted, ran.report)

    def measure(self, sides: dict[str, Kolla | Qinling], runs: int) -> None:
        """Takes sides by name and how often; runs all cases on all of them in turn."""
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
                    self.take(side, name, case, side.run(name))
        whole = sides.get("whole")
        if "actions" in self.options.cases and isinstance(whole, Qinling) and whole.real:
            self.actions(whole)

    def actions(self, side: Qinling) -> None:
        """Takes a deployment, and runs each action that has nothing to change there."""
        if not side.alive:
            side.run("whole", True)
        for action in ACTIONS:
            self.take(side, "whole", action, side.playbook(action))

    def first(self, sides: dict[str, Kolla | Qinling], timed: bool) -> None:
        """Takes sides, and whether it counts; deploys each of them anew."""
        # The whole of ours before its part: containers need the database that it makes.
        for name, side in sorted(sides.items(), key=lambda item: ["kolla", "whole", "containers"].index(item[0])):
            if isinstance(side, Qinling) and side.real and name == "whole":
                side.destroy()
            elif isinstance(side, Qinling) and side.real and not side.alive:
                side.run("whole", True)
            side.forget(name)
            ran = side.run(name, True)
            if timed:
                self.take(side, name, "first", ran)

    def run(self, folder: Path, kept: ExitStack) -> None:
        """Takes a folder of its own and what takes everything away at the end; measures all that is asked for."""
        wanted = self.options.sides
        ours = [name for name in ("containers", "whole") if name in wanted]
        real: Qinling | None = None
        check_images()
        sweep()
        kept.callback(sweep)
        if any(is_real for is_real, _count in self.options.hosts) or "whole" in ours:
            real = Qinling(folder / "real", 1, True, self.options.forks)
            kept.callback(real.close)
        if "kolla" in wanted:
            build_peer_image()
            kept.callback(remove_peer_image)
        for is_real, count in self.options.hosts:
            with ExitStack() as these:
                sides: dict[str, Kolla | Qinling] = {}
                if "kolla" in wanted:
                    sides["kolla"] = Kolla(folder / f"kolla-{is_real}-{count}", count, is_real, self.options.forks)
                    these.callback(sides["kolla"].close)
                if ours:
                    side = real
                    if not is_real or side is None:
                        side = self.simulated(folder, count, real)
                        these.callback(side.close)
                    sides |= dict.fromkeys(ours, side)
                self.measure(sides, self.options.runs if count < 10 else self.options.runs_many)

    def simulated(self, folder: Path, count: int, real: Qinling | None) -> Qinling:
        """Takes a folder, a number of hosts, and the real deployment, if there is one; returns simulated hosts."""
        if real is not None:
            if real.alive:
                real.forget("containers")
            elif "whole" in self.options.sides:
                real.deploy_backing()
        passwords = real.passwords if real is not None else None
        return Qinling(folder / f"qinling-{count}", count, False, self.options.forks, passwords)


def facts(options: argparse.Namespace, load: float) -> dict[str, str]:
    """Takes the options and the machine's load before, returns what the figures stand on."""
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
        "Beside it": "kolla-ansible 22.2.0 (PyPI), role magnum, with the same Ansible",
        "Machine": f"{os.cpu_count()} CPUs ({model}), load {load:.1f} at the start",
        "Versions": f"Python {platform.python_version()}, Docker {docker.stdout.strip() or 'unknown'}",
        "Forks": f"{options.forks} on both sides, pipelining on",
    }


def main() -> int:
    """Returns 0 where everything was measured; goals that are not met are only told."""
    options = arguments()
    # Ended from outside, it takes its containers away all the same.
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(143))
    earlier = from_json(json.loads(options.compare.read_text())["rows"]) if options.compare else []
    bench = Bench(options)
    load = os.getloadavg()[0]
    failed = ""
    folder = Path(tempfile.mkdtemp(prefix="qinling-bench-"))
    try:
        with ExitStack() as kept:
            bench.run(folder, kept)
    except RunError as error:
        failed = str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [row for row in bench.rows if row.runs]
    told = facts(options, load)
    if options.add:
        added = json.loads(options.add.read_text())
        rows = together(rows, from_json(added["rows"]))
        told["Taken along"] = taken_along(added["facts"])
    text = json.dumps({"facts": told, "rows": to_json(rows)}, indent=1) + "\n"
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
        print(f"\nBeside {options.compare}\n\n{comparison_text(rows, earlier)}")
    found_goals = goals(rows, options.make_deploy)
    print(f"\nGoals\n\n{goals_text(found_goals)}")
    if failed:
        print(f"\nThe benchmark ended early: {failed}", file=sys.stderr)
        return 1
    if not options.no_write:
        (options.output / "benchmark.md").write_text(document(rows, found_goals, bench.profiles, told))
        (options.output / "benchmark.svg").write_text(svg(rows))
        (options.output / "benchmark.json").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

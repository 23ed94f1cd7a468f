# SPDX-License-Identifier: Apache-2.0
"""Measure a deployment, print the results, and write them to bench/results."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from functions import measure, report  # noqa: E402 - needs the path of the tests' client

CLIENTS = (1, 4, 16)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="functions", description=__doc__)
    config = os.environ.get("KOLLA_CONFIG_DIR", "/etc/qinling.kolla")
    parser.add_argument(
        "--config-dir", type=Path, default=Path(config), help="configuration directory of the deployment"
    )
    parser.add_argument("--label", default="", help="name of the run; default: the orchestrator")
    parser.add_argument("--rounds", type=int, default=100, help="warm executions of each kind")
    parser.add_argument("--cold", type=int, default=5, help="cold executions")
    parser.add_argument("--runtime", default="", help="name of the runtime; default: the first one")
    parser.add_argument("--json", type=Path, default=PROJECT / "bench" / "results" / "benchmark-functions.json")
    parser.add_argument("--page", type=Path, default=PROJECT / "bench" / "results" / "benchmark-functions.md")
    return parser.parse_args()


def prefix(config: Path) -> str:
    """Return the prefix of the deployment's containers."""
    file = config / "globals.yml"
    settings = yaml.safe_load(file.read_text()) if file.exists() else None
    return str((settings or {}).get("qinling_container_prefix", ""))


def machine() -> str:
    """Return a description of this machine."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{os.cpu_count()} CPUs, {line.partition(':')[2].strip()}"
    return f"{os.cpu_count()} CPUs"


def orchestrator(container: str) -> str:
    """Return the orchestrator of the engine in a container, or an empty string without such a container."""
    command = ["docker", "exec", container, "sed", "-n", "s/^orchestrator *= *//p", "/etc/qinling/qinling.conf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the deployment and return the results."""
    before = os.getloadavg()[0]
    deployment = measure.Deployment(given.config_dir / "clouds.yaml", given.runtime)
    api, engine = (prefix(given.config_dir) + name for name in ("qinling_api", "qinling_engine"))
    kind = orchestrator(engine)
    deployment.await_pool()
    invocations: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    workers = deployment.api.call("GET", f"runtimes/{deployment.runtime}/pool", 200)["capacity"]["total"]
    invocations["creation of a function"] = report.summary(deployment.create(given.cold))
    with deployment.function() as function:
        invocations["cold"] = report.summary(deployment.cold(function, given.cold))
        invocations[report.WARM] = report.summary(deployment.warm(function, given.rounds, pause=0.05))
        if kind:
            samples = deployment.http(given.rounds)
            for container, side in ((api, "api"), (engine, "engine")):
                samples |= measure.run_probe(container, side, function, min(given.rounds, 50))
            parts = {name: report.summary(values) for name, values in samples.items()}
        for clients in CLIENTS:
            times, rate, failed = deployment.concurrent(function, clients, given.rounds)
            row = {**report.summary(times or [0.0]), "rate": round(rate, 1), "failed": failed}
            invocations[f"warm, {clients} at once"] = row
    label = given.label or kind or "deployment"
    # Other load on the CPUs affects all figures.
    load = f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    return {
        "label": label,
        "machine": f"{machine()}, {load}",
        "workers": workers,
        "invocations": invocations,
        "parts": parts,
    }


def main() -> None:
    """Run the benchmark."""
    given = arguments()
    # Exit through the cleanup when terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    measured = run(given)
    runs = json.loads(given.json.read_text()) if given.json.exists() else {}
    runs[measured["label"]] = measured
    given.json.write_text(json.dumps(runs, indent=1) + "\n")
    given.page.write_text(report.page(runs))
    print(report.section(measured))


if __name__ == "__main__":
    main()

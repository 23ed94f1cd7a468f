# SPDX-License-Identifier: Apache-2.0
"""Tests with more functions than workers: Qinling reclaims idle workers, and reports when all are busy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deployment import Deployment
from qinling_http import Qinling, wait_for

FUNCTIONS = 12
SLOW = """
import time
def main(seconds=0, **kwargs):
    time.sleep(seconds)
    return "awake"
"""

MakeFunction = Callable[..., str]


def test_more_functions_than_workers_succeed_in_turn(
    qinling: Qinling, runtime: str, make_function: MakeFunction
) -> None:
    assert qinling.call("GET", f"runtimes/{runtime}/pool", 200)["capacity"]["total"] < FUNCTIONS
    functions = [make_function(f"def main(**kwargs):\n    return {number}\n") for number in range(FUNCTIONS)]
    answers = [qinling.execute(function) for function in functions]
    assert [each["status"] for each in answers] == ["success"] * FUNCTIONS, answers
    # Each function must run its own package, not that of the worker's previous function.
    assert [json.loads(each["result"])["output"] for each in answers] == list(range(FUNCTIONS))


def test_busy_workers_are_reported(
    deployment: Deployment, qinling: Qinling, runtime: str, make_function: MakeFunction
) -> None:
    total = int(deployment.settings[f"qinling_{'kubernetes' if deployment.kubernetes else 'swarm'}_replicas"])

    def capacity() -> dict[str, int]:
        return dict(qinling.call("GET", f"runtimes/{runtime}/pool", 200)["capacity"])

    # Workers of recently deleted functions are still being replaced.
    wait_for("complete pool", lambda: capacity()["total"] == total)
    busy = [make_function(SLOW, timeout=290) for _number in range(total)]
    executions = [qinling.execute(each, sync=False, input='{"seconds": 280}')["id"] for each in busy]

    def workers(function: str) -> list[Any]:
        return list(qinling.call("GET", f"functions/{function}/workers", 200)["workers"])

    wait_for("busy workers", lambda: all(workers(function) for function in busy) and not capacity()["available"])
    refused = qinling.execute(make_function(SLOW))
    reason = f"no free worker for runtime {runtime}: {total} of {total} in use"
    assert refused["status"] == "error"
    assert json.loads(refused["result"])["output"] == f"Function execution failed: {reason}."
    log = qinling.session.get(f"{qinling.endpoint}/v1/executions/{refused['id']}/log", timeout=30)
    assert reason in log.text
    assert all(workers(function) for function in busy), "a busy worker was reclaimed"

    # Detaching workers ends executions, but not as failures of the functions.
    for function in busy:
        qinling.call("POST", f"functions/{function}/detach", 202)

    def ended() -> list[dict[str, Any]] | None:
        found = [qinling.call("GET", f"executions/{each}", 200) for each in executions]
        return None if any(each["status"] == "running" for each in found) else found

    for lost in wait_for("end of executions without a worker", ended):
        assert lost["status"] == "error"
        assert json.loads(lost["result"])["output"].startswith("Function execution failed: the ")

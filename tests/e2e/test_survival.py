# SPDX-License-Identifier: Apache-2.0
"""What breaks while functions run: a stated end for the execution, and work as before afterwards."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from deployment import PROJECT, Deployment, run
from qinling_http import Qinling, wait_for

SLOW = """
import time
def main(seconds=0, **kwargs):
    time.sleep(seconds)
    return "awake"
"""

MakeFunction = Callable[..., str]


def works(qinling: Qinling, function: str) -> bool:
    """Tell whether an execution succeeds now; its record is not left."""
    execution = qinling.execute(function)
    qinling.call("DELETE", f"executions/{execution['id']}", 204)
    return execution["status"] == "success"


def healthy(deployment: Deployment) -> bool:
    """Tell whether the engine's container is healthy."""
    return str(deployment.inspect("qinling_engine")["State"]["Health"]["Status"]) == "healthy"


def workers(qinling: Qinling, function: str) -> int:
    """Return how many workers a function has, by Qinling's own count."""
    return len(qinling.call("GET", f"functions/{function}/workers", 200)["workers"])


def test_engine_killed_during_an_execution(
    qinling: Qinling, deployment: Deployment, make_function: MakeFunction
) -> None:
    function = make_function(SLOW, timeout=30)
    assert works(qinling, function)
    ended: list[dict[str, Any]] = []
    call = threading.Thread(target=lambda: ended.append(qinling.execute(function, input='{"seconds": 10}')))
    call.start()
    wait_for(
        "a running execution",
        lambda: any(
            entry["status"] == "running" and entry["function_id"] == function
            for entry in qinling.call("GET", "executions", 200)["executions"]
        ),
    )
    os.kill(deployment.inspect("qinling_engine")["State"]["Pid"], signal.SIGKILL)
    call.join(90)
    assert ended, "the call did not end"
    assert ended[0]["status"] in ("error", "failed"), ended
    wait_for("the engine's return", lambda: healthy(deployment))
    wait_for("work as before", lambda: works(qinling, function))
    assert workers(qinling, function) == 1


def test_lost_workers_are_replaced(qinling: Qinling, deployment: Deployment, make_function: MakeFunction) -> None:
    """All workers are gone at once, as when a node is lost; Qinling still believes in them."""
    function = make_function(SLOW, timeout=30)
    assert works(qinling, function)
    if deployment.kubernetes:
        run("kubectl", "-n", "qinling", "delete", "pods", "--all", "--grace-period=0", "--force")
    else:
        network = f"{deployment.prefix.replace('_', '-')}qinling-functions"
        found = run("docker", "service", "ls", "-q", "--filter", f"label=qinling.kolla/instance={network}").split()
        run("docker", "service", "rm", *found)
    wait_for("work as before", lambda: works(qinling, function), 120)
    assert workers(qinling, function) == 1


def test_kubernetes_away_and_back(qinling: Qinling, deployment: Deployment, make_function: MakeFunction) -> None:
    if not deployment.kubernetes:
        pytest.skip("this deployment has no Kubernetes")
    cluster = str(PROJECT / "tests" / "kubernetes" / "cluster")
    function = make_function(SLOW, timeout=10)
    assert works(qinling, function)
    run(cluster, "stop", "kube-apiserver")
    try:
        # Answered, not left running.
        assert qinling.execute(function)["status"] in ("error", "failed")
    finally:
        run(cluster, "start", "kube-apiserver")
    wait_for("work as before", lambda: works(qinling, function), 120)
    # Its health check saw that the cluster was away, and sees that it is back.
    wait_for("the engine's health", lambda: healthy(deployment))

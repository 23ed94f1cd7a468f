# SPDX-License-Identifier: Apache-2.0
"""What breaks while functions run: a stated end for the execution, and work as before afterwards."""

from __future__ import annotations

import json
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
    print("started", flush=True)
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


def test_engine_lost_during_executions(qinling: Qinling, deployment: Deployment, make_function: MakeFunction) -> None:
    """The engine hangs while one execution runs and another one waits for it, and is killed once both were given up."""
    function = make_function(SLOW, timeout=30)
    assert works(qinling, function)
    ended: dict[str, dict[str, Any]] = {}

    def call(name: str, seconds: int) -> threading.Thread:
        given = json.dumps({"seconds": seconds})
        thread = threading.Thread(target=lambda: ended.update({name: qinling.execute(function, input=given)}))
        thread.start()
        return thread

    def record(name: str) -> dict[str, Any]:
        return dict(qinling.call("GET", f"executions/{ended[name]['id']}", 200))

    running = call("running", 10)
    wait_for(
        "a running execution",
        lambda: any(
            entry["status"] == "running" and entry["function_id"] == function
            for entry in qinling.call("GET", "executions", 200)["executions"]
        ),
    )
    container = f"{deployment.prefix}qinling_engine"
    run("docker", "pause", container)
    waiting = call("waiting", 0)
    running.join(90)
    waiting.join(90)
    run("docker", "unpause", container)
    os.kill(deployment.inspect("qinling_engine")["State"]["Pid"], signal.SIGKILL)
    assert sorted(ended) == ["running", "waiting"], "a call did not end"
    for execution in ended.values():
        assert execution["status"] == "error", execution
        assert "may have run" in json.loads(execution["result"])["output"]
    wait_for("the engine's return", lambda: healthy(deployment))
    wait_for("work as before", lambda: works(qinling, function))
    assert workers(qinling, function) == 1
    # The answers to the callers stay true, and what was given up is not started.
    for name, execution in ended.items():
        assert record(name) == execution
    log = deployment.inside("qinling_engine", "cat", "/var/log/kolla/qinling/qinling-engine.log")
    assert "Running execution " in log
    assert f"Running execution {ended['waiting']['id']} " not in log


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

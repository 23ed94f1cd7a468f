# SPDX-License-Identifier: Apache-2.0
"""Tests of failures during executions: each execution ends with a reason, and Qinling recovers."""

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
    """Return whether an execution succeeds; delete its record."""
    execution = qinling.execute(function)
    qinling.call("DELETE", f"executions/{execution['id']}", 204)
    return str(execution["status"]) == "success"


def healthy(deployment: Deployment) -> bool:
    """Return whether the engine's container is healthy."""
    return str(deployment.inspect("qinling_engine")["State"]["Health"]["Status"]) == "healthy"


def workers(qinling: Qinling, function: str) -> int:
    """Return the number of workers of a function according to Qinling."""
    return len(qinling.call("GET", f"functions/{function}/workers", 200)["workers"])


def test_executions_end_if_engine_is_lost(
    qinling: Qinling, deployment: Deployment, make_function: MakeFunction
) -> None:
    """The engine hangs with one running and one waiting execution, and is killed after the API has abandoned both."""
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
    assert sorted(ended) == ["running", "waiting"], "an execution did not end"
    for execution in ended.values():
        assert execution["status"] == "error", execution
        assert "may have run" in json.loads(execution["result"])["output"]
    wait_for("health of the engine", lambda: healthy(deployment))
    wait_for("successful execution", lambda: works(qinling, function))
    assert workers(qinling, function) == 1
    # The responses to the callers remain valid, and abandoned executions are not started.
    for name, execution in ended.items():
        assert record(name) == execution
    log = deployment.inside("qinling_engine", "cat", "/var/log/kolla/qinling/qinling-engine.log")
    assert "Running execution " in log
    assert f"Running execution {ended['waiting']['id']} " not in log


def test_lost_workers_are_replaced(qinling: Qinling, deployment: Deployment, make_function: MakeFunction) -> None:
    """All workers disappear at once, as if a node failed, while Qinling's state still contains them."""
    function = make_function(SLOW, timeout=30)
    assert works(qinling, function)
    if deployment.kubernetes:
        run("kubectl", "-n", "qinling", "delete", "pods", "--all", "--grace-period=0", "--force")
    else:
        network = f"{deployment.prefix.replace('_', '-')}qinling-functions"
        found = run("docker", "service", "ls", "-q", "--filter", f"label=qinling.kolla/instance={network}").split()
        run("docker", "service", "rm", *found)
    wait_for("successful execution", lambda: works(qinling, function), 120)
    assert workers(qinling, function) == 1


def test_kubernetes_outage_is_survived(qinling: Qinling, deployment: Deployment, make_function: MakeFunction) -> None:
    if not deployment.kubernetes:
        pytest.skip("this deployment has no Kubernetes")
    cluster = str(PROJECT / "tests" / "kubernetes" / "cluster")
    function = make_function(SLOW, timeout=10)
    assert works(qinling, function)
    run(cluster, "stop", "kube-apiserver")
    try:
        # The execution must not stay in the state running.
        assert qinling.execute(function)["status"] in ("error", "failed")
    finally:
        run(cluster, "start", "kube-apiserver")
    wait_for("successful execution", lambda: works(qinling, function), 120)
    # The health check of the engine reported the outage, and must recover.
    wait_for("health of the engine", lambda: healthy(deployment))

# SPDX-License-Identifier: Apache-2.0
"""Tests of the Swarm driver on several nodes; run `nodes up`, then `nodes test`."""

import os
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from qinling_kolla.orchestrator import swarm_spec as spec
from test_swarm_live import IMAGE, OTHER, RLIMIT, eventually, run

NODES = os.environ.get("QINLING_TEST_SWARM_NODES", "").split()
pytestmark = pytest.mark.skipif(len(NODES) < 2, reason="needs a Swarm of several nodes: tests/swarm/nodes up")

WORKERS_ONLY = ["node.role==worker"]


@pytest.fixture
def far(swarm_conf: Any) -> Any:
    """Restrict tasks to nodes that run neither the driver nor the gateway."""
    swarm_conf.set_override("placement_constraints", WORKERS_ONLY, "swarm")
    yield swarm_conf
    swarm_conf.clear_override("placement_constraints", "swarm")


@pytest.fixture
def nodes(manager: Any) -> Any:
    """Return a function that sets the availability of nodes; reactivate all nodes at the end."""

    def set_all(availability: Any, *names: Any) -> Any:
        with manager.client._request("set nodes") as client:
            for node in client.nodes():
                if node["Description"]["Hostname"] in names and node["Spec"]["Availability"] != availability:
                    client.update_node(
                        node["ID"], node["Version"]["Index"], {**node["Spec"], "Availability": availability}
                    )

    yield set_all
    set_all("active", *NODES)


def where(manager: Any, services: Any) -> Any:
    """Return the names of the nodes that run the tasks of services."""
    with manager.client._request("list nodes") as client:
        names = {node["ID"]: node["Description"]["Hostname"] for node in client.nodes()}
    groups = spec.by_service(manager.client.tasks([service["ID"] for service in services]))
    found = [spec.running(tasks) for tasks in groups.values()]
    return sorted(names[task["NodeID"]] for task in found if task)


def pool(manager: Any, image: Any = IMAGE) -> Any:
    runtime_id = str(uuid.uuid4())
    start = time.monotonic()
    manager.create_pool(runtime_id, image)
    print(f"pool ready after {time.monotonic() - start:.2f} s")
    return runtime_id


def claim(manager: Any, etcd: Any, runtime_id: Any, count: Any = 1) -> Any:
    function_id = str(uuid.uuid4())
    names, url = manager.scaleup_function(function_id, 0, identifier=runtime_id, count=count)
    for name in names:
        etcd.create_worker(function_id, name)
    etcd[function_id, 0, "url"] = url
    return function_id, names, url


def test_pool_is_spread_over_nodes(manager: Any, swarm_conf: Any) -> None:
    swarm_conf.set_override("replicas", 2 * len(NODES), "swarm")
    runtime_id = pool(manager)
    services = manager._pool_services(runtime_id)
    assert set(where(manager, services)) == set(NODES)
    # Each node can pull the image, and each worker answers through the gateway.
    assert {service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] for service in services} == {IMAGE}
    workers = manager._running(services)
    assert [manager.adapter.ping(found) for found in workers] == [None] * (2 * len(NODES))


def test_function_runs_on_another_node(manager: Any, etcd: Any, far: Any) -> None:
    far.set_override("replicas", 3, "swarm")
    runtime_id = pool(manager)
    assert NODES[0] not in where(manager, manager._pool_services(runtime_id))
    function_id, names, url = claim(manager, etcd, runtime_id)
    seconds = []
    for _number in range(20):
        start = time.monotonic()
        success, result = run(manager, function_id, url, given={"name": "node"})
        seconds.append(time.monotonic() - start)
        assert (success, result["success"], result["output"]) == (True, True, "Hello, node")
    warm = sorted(seconds[1:])
    print(f"cold {seconds[0] * 1000:.0f} ms, warm median {warm[9] * 1000:.0f} ms, slowest {warm[-1] * 1000:.0f} ms")
    more, same = manager.scaleup_function(function_id, 0, identifier=runtime_id, count=2)
    assert same == url
    assert len({*names, *more}) == 3
    # All three workers get executions.
    addresses = {run(manager, function_id, url, entry="main.address")[1]["output"] for _number in range(40)}
    assert addresses == {
        found.address for found in manager._running(manager._services(manager._function(function_id, 0)))
    }
    manager.delete_function(function_id, 0)
    eventually(lambda: manager.get_pool(runtime_id) == {"total": 3, "available": 3})
    manager.delete_pool(runtime_id)
    assert not manager._services({})


def test_package_is_downloaded_through_the_gateway(manager: Any, etcd: Any, far: Any) -> None:
    """On every node the gateway is the only way out of the functions' network."""
    runtime_id = pool(manager)
    function_id, _unused, url = claim(manager, etcd, runtime_id)
    for _number in range(3):
        assert run(manager, function_id, url)[1]["success"]
    (worker,) = manager._running(manager._services(manager._function(function_id, 0)))
    log = (Path(manager.options.docker_host.removeprefix("unix://")).parent / "api.log").read_text()
    lines = [line for line in log.splitlines() if function_id in line]
    request = f'{worker.address} "GET /v1/functions/{function_id}?download=true HTTP/1.1"'
    assert [line.startswith(request) for line in lines] == [True] * 3
    assert [line.split()[-2] for line in lines] == ["200", "304", "304"]


@pytest.mark.parametrize(
    ("given", "expected", "success"),
    [
        (["sh", "-c", "echo one two"], "one two\n", True),
        (["sh", "-c", "echo before; exit 3"], "before", False),
    ],
)
def test_image_function_runs_on_another_node(manager: Any, far: Any, given: Any, expected: Any, success: Any) -> None:
    name = str(uuid.uuid4())
    start = time.monotonic()
    manager.prepare_execution("f", 0, rlimit=RLIMIT, image=OTHER, identifier=name, input=given)
    done, result = manager.run_execution("e", "f", 0, identifier=name, timeout=20)
    print(f"image function: {time.monotonic() - start:.2f} s, {result}")
    assert done is success
    assert expected in result["logs"]
    # The manager measures the duration at the interval of its polls.
    assert 0 < result["duration"] < 5
    if not success:
        assert "status 3" in result["output"]
    assert manager.client.service(name) is None


def test_worker_of_drained_node_is_moved(manager: Any, etcd: Any, nodes: Any) -> None:
    nodes("drain", NODES[0])
    runtime_id = pool(manager)
    function_id, names, url = claim(manager, etcd, runtime_id)
    assert run(manager, function_id, url)[1]["success"]
    nodes("active", NODES[0])
    nodes("drain", *NODES[1:])
    own = manager._services(manager._function(function_id, 0))
    start, answers = time.monotonic(), []
    # Executions continue while Swarm moves the worker, which stays assigned to the function.
    while where(manager, own) != NODES[:1]:
        answers.append(run(manager, function_id, url))
        assert time.monotonic() < start + 30
    print(f"moved after {time.monotonic() - start:.2f} s, {len(answers)} executions meanwhile")
    answers += [run(manager, function_id, url) for _number in range(20)]
    assert [(success, result.get("success")) for success, result in answers] == [(True, True)] * len(answers), answers
    eventually(lambda: manager.get_pool(runtime_id) == {"total": 2, "available": 1})
    assert [spec.name_of(service) for service in own] == names

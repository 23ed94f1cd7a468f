# SPDX-License-Identifier: Apache-2.0
"""The Swarm driver on a Swarm of several nodes: `nodes up`, then `nodes test`."""

import os
import time
import uuid
from pathlib import Path

import pytest
from qinling_kolla.orchestrator import swarm_spec as spec
from test_swarm_live import IMAGE, OTHER, RLIMIT, eventually, run

NODES = os.environ.get("QINLING_TEST_SWARM_NODES", "").split()
pytestmark = pytest.mark.skipif(len(NODES) < 2, reason="needs a Swarm of several nodes: tests/swarm/nodes up")

WORKERS_ONLY = ["node.role==worker"]


@pytest.fixture
def far(swarm_conf):
    """Let tasks run on no node but those that neither the driver nor the relay is on."""
    swarm_conf.set_override("placement_constraints", WORKERS_ONLY, "swarm")
    yield swarm_conf
    swarm_conf.clear_override("placement_constraints", "swarm")


@pytest.fixture
def nodes(manager):
    """Set the availability of a node by its name; all are active again in the end."""

    def set_all(availability, *names):
        with manager.client._asking("set nodes") as client:
            for node in client.nodes():
                if node["Description"]["Hostname"] in names and node["Spec"]["Availability"] != availability:
                    client.update_node(
                        node["ID"], node["Version"]["Index"], {**node["Spec"], "Availability": availability}
                    )

    yield set_all
    set_all("active", *NODES)


def where(manager, services):
    """Return the names of the nodes on which these services' tasks run."""
    with manager.client._asking("list nodes") as client:
        names = {node["ID"]: node["Description"]["Hostname"] for node in client.nodes()}
    groups = spec.by_service(manager.client.tasks([service["ID"] for service in services]))
    found = [spec.running(tasks) for tasks in groups.values()]
    return sorted(names[task["NodeID"]] for task in found if task)


def pool(manager, image=IMAGE):
    runtime_id = str(uuid.uuid4())
    start = time.monotonic()
    manager.create_pool(runtime_id, image)
    print(f"pool ready after {time.monotonic() - start:.2f} s")
    return runtime_id


def claim(manager, etcd, runtime_id, count=1):
    function_id = str(uuid.uuid4())
    names, url = manager.scaleup_function(function_id, 0, identifier=runtime_id, count=count)
    for name in names:
        etcd.create_worker(function_id, name)
    etcd[function_id, 0, "url"] = url
    return function_id, names, url


def test_pool_is_spread_over_nodes(manager, swarm_conf):
    swarm_conf.set_override("replicas", 2 * len(NODES), "swarm")
    runtime_id = pool(manager)
    services = manager._pool_services(runtime_id)
    assert set(where(manager, services)) == set(NODES)
    # Each is told an image that its node can pull, and answers through the relay, on whatever node it is.
    assert {service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] for service in services} == {IMAGE}
    workers = manager._running(services)
    assert [manager.adapter.ping(found) for found in workers] == [None] * (2 * len(NODES))


def test_function_on_another_node(manager, etcd, far):
    far.set_override("replicas", 3, "swarm")
    runtime_id = pool(manager)
    assert NODES[0] not in where(manager, manager._pool_services(runtime_id))
    function_id, names, url = claim(manager, etcd, runtime_id)
    seconds = []
    for _ in range(20):
        start = time.monotonic()
        success, result = run(manager, function_id, url, given={"name": "node"})
        seconds.append(time.monotonic() - start)
        assert (success, result["success"], result["output"]) == (True, True, "Hello, node")
    warm = sorted(seconds[1:])
    print(f"cold {seconds[0] * 1000:.0f} ms, warm median {warm[9] * 1000:.0f} ms, slowest {warm[-1] * 1000:.0f} ms")
    more, same = manager.scaleup_function(function_id, 0, identifier=runtime_id, count=2)
    assert same == url
    assert len({*names, *more}) == 3
    # All three get work.
    addresses = {run(manager, function_id, url, entry="main.address")[1]["output"] for _ in range(40)}
    assert addresses == {
        found.address for found in manager._running(manager._services(manager._function(function_id, 0)))
    }
    manager.delete_function(function_id, 0)
    eventually(lambda: manager.get_pool(runtime_id) == {"total": 3, "available": 3})
    manager.delete_pool(runtime_id)
    assert not manager._services({})


def test_package_is_downloaded_through_the_relay(manager, etcd, far):
    """The function's network has no way out but the relay, from any node."""
    runtime_id = pool(manager)
    function_id, _, url = claim(manager, etcd, runtime_id)
    for _ in range(3):
        assert run(manager, function_id, url)[1]["success"]
    (worker,) = manager._running(manager._services(manager._function(function_id, 0)))
    log = (Path(manager.options.docker_host.removeprefix("unix://")).parent / "api.log").read_text()
    lines = [line for line in log.splitlines() if function_id in line]
    request = f'{worker.address} "GET /v1/functions/{function_id}?download=true HTTP/1.1"'
    assert [line.startswith(request) for line in lines] == [True] * 3
    assert [line.split()[-2] for line in lines] == ["200", "304", "304"]


@pytest.mark.parametrize(
    "given, expected, success",
    [
        (["sh", "-c", "echo one two"], "one two\n", True),
        (["sh", "-c", "echo before; exit 3"], "before", False),
    ],
)
def test_image_function_on_another_node(manager, far, given, expected, success):
    name = str(uuid.uuid4())
    start = time.monotonic()
    manager.prepare_execution("f", 0, rlimit=RLIMIT, image=OTHER, identifier=name, input=given)
    done, result = manager.run_execution("e", "f", 0, identifier=name, timeout=20)
    print(f"image function: {time.monotonic() - start:.2f} s, {result}")
    assert done is success
    assert expected in result["logs"]
    # What is seen from the manager: no finer than it looks, but never nothing.
    assert 0 < result["duration"] < 5
    if not success:
        assert "status 3" in result["output"]
    assert manager.client.service(name) is None


def test_drained_node(manager, etcd, nodes):
    nodes("drain", NODES[0])
    runtime_id = pool(manager)
    function_id, names, url = claim(manager, etcd, runtime_id)
    assert run(manager, function_id, url)[1]["success"]
    nodes("active", NODES[0])
    nodes("drain", *NODES[1:])
    own = manager._services(manager._function(function_id, 0))
    start, answers = time.monotonic(), []
    # Executions go on all the time; Swarm moves the worker, and it stays this function's.
    while where(manager, own) != NODES[:1]:
        answers.append(run(manager, function_id, url))
        assert time.monotonic() < start + 30
    print(f"moved after {time.monotonic() - start:.2f} s, {len(answers)} executions meanwhile")
    answers += [run(manager, function_id, url) for _ in range(20)]
    assert [(success, result.get("success")) for success, result in answers] == [(True, True)] * len(answers), answers
    eventually(lambda: manager.get_pool(runtime_id) == {"total": 2, "available": 1})
    assert [spec.name_of(service) for service in own] == names

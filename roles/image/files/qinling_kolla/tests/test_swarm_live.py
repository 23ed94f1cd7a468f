# SPDX-License-Identifier: Apache-2.0
"""The Swarm driver with a real Swarm, gateway and runtime, which these variables name.

QINLING_TEST_SWARM_NETWORK   attachable, internal overlay network for functions
QINLING_TEST_SWARM_GATEWAY   address of a gateway on it, such as http://127.0.0.1:7071; its API side must serve a
                             package with main.main(name="World") on any path (the default of qinling_endpoint fits it)
QINLING_TEST_SWARM_IMAGE     image of the python3 runtime
QINLING_TEST_SWARM_OTHER     another image with a shell, for image functions and failing workers
"""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from qinling import context
from qinling import exceptions as exc

from qinling_kolla.orchestrator import swarm
from qinling_kolla.orchestrator import swarm_spec as spec

NETWORK = os.environ.get("QINLING_TEST_SWARM_NETWORK", "")
IMAGE = os.environ.get("QINLING_TEST_SWARM_IMAGE", "")
OTHER = os.environ.get("QINLING_TEST_SWARM_OTHER", "")
pytestmark = pytest.mark.skipif(not (NETWORK and IMAGE and OTHER), reason="no Swarm is named by the environment")

RLIMIT = {"cpu": 300, "memory_size": 64 * 1024 * 1024}


class Etcd(dict[tuple[Any, ...], Any]):
    """A fake of Qinling's data in etcd for the driver."""

    def get_service_url(self, function_id: str, version: int = 0) -> Any:
        return self.get((function_id, version, "url"))

    def get_workers(self, function_id: str, version: int = 0) -> Any:
        return list(self.get((function_id, version), ()))

    def create_worker(self, function_id: str, worker: Any, version: int = 0) -> None:
        self.setdefault((function_id, version), set()).add(worker)

    def delete_worker(self, function_id: str, worker: Any, version: int = 0) -> None:
        self[function_id, version].discard(worker)


@pytest.fixture
def swarm_conf(conf: Any) -> Iterator[Any]:
    overrides = {
        "network": NETWORK,
        "gateway_url": os.environ.get("QINLING_TEST_SWARM_GATEWAY", ""),
        "replicas": 2,
        "pool_timeout": 60,
        "placement_constraints": [],
    }
    for name, value in overrides.items():
        conf.set_override(name, value, "swarm")
    yield conf
    for name in overrides:
        conf.clear_override(name, "swarm")


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> Etcd:
    fake = Etcd()
    monkeypatch.setattr(swarm, "etcd_util", fake)
    return fake


@pytest.fixture
def manager(swarm_conf: Any, etcd: Any) -> Iterator[Any]:
    context.set_ctx(context.Context(request_id="req-1"))
    manager = swarm.SwarmManager(swarm_conf, "http://qinling-api:7070")
    yield manager
    for kind in (spec.WORKER, spec.EXECUTION):
        for service in manager._services({}, kind=kind):
            manager.client.remove(service["ID"])
    with manager.client._request("clean up") as client:
        for record in client.configs(filters=spec.selector(spec.base_labels(manager.instance, spec.POOL))):
            client.remove_config(record["ID"])


@pytest.fixture
def runtime(manager: Any) -> str:
    runtime_id = str(uuid.uuid4())
    start = time.monotonic()
    manager.create_pool(runtime_id, IMAGE)
    print(f"pool ready after {time.monotonic() - start:.2f} s")
    return runtime_id


def run(
    manager: Any,
    function_id: str,
    url: str,
    entry: str = "main.main",
    given: Any = None,
    timeout: int = 10,
    version: int = 0,
) -> Any:
    start = time.monotonic()
    answer = manager.run_execution(
        str(uuid.uuid4()),
        function_id,
        version,
        rlimit=RLIMIT,
        input=given,
        service_url=url,
        entry=entry,
        timeout=timeout,
    )
    print(f"{entry}: {(time.monotonic() - start) * 1000:.0f} ms")
    return answer


def eventually(check: Any, seconds: int = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_package_function(manager: Any, runtime: Any, etcd: Any) -> None:
    function_id = str(uuid.uuid4())
    assert manager.get_pool(runtime) == {"total": 2, "available": 2}
    names, url = manager.scaleup_function(function_id, 0, identifier=runtime, count=1)
    assert len(names) == 1
    etcd.create_worker(function_id, names[0])
    assert manager.get_pool(runtime) == {"total": 2, "available": 1}
    for _number in range(3):
        success, result = run(manager, function_id, url, given={"name": "Swarm"})
        assert (success, result["success"], result["output"]) == (True, True, "Hello, Swarm")
    # A second function gets the other worker, a third none.
    other = str(uuid.uuid4())
    assert manager.prepare_execution(other, 1, rlimit=RLIMIT, identifier=runtime)[0] not in names
    with pytest.raises(exc.OrchestratorException, match=r"no free worker for runtime .*: 2 of 2 in use"):
        manager.scaleup_function(str(uuid.uuid4()), 0, identifier=runtime)
    # A function keeps its worker if none is free.
    assert manager.scaleup_function(function_id, 0, identifier=runtime) == ([], url)
    manager.delete_function(function_id, 0)
    eventually(lambda: manager.get_pool(runtime) == {"total": 2, "available": 1})
    manager.delete_worker(manager._services(manager._function(other, 1))[0]["Spec"]["Name"])
    manager.delete_worker("worker-long-gone")
    eventually(lambda: manager.get_pool(runtime) == {"total": 2, "available": 2})
    manager.delete_pool(runtime)
    with pytest.raises(exc.RuntimeNotFoundException):
        manager.get_pool(runtime)
    assert not manager._services({})


def test_reclaimed_worker_is_replaced_with_a_fresh_one(manager: Any, runtime: Any) -> None:
    first, second, third = (str(uuid.uuid4()) for _number in range(3))
    claimed = {name for each in (first, second) for name in manager.scaleup_function(each, 0, identifier=runtime)[0]}
    assert manager.holders(runtime) == {(first, 0), (second, 0)}
    manager.delete_function(first, 0)
    names, url = manager.scaleup_function(third, 0, identifier=runtime)
    assert not claimed & set(names)
    assert manager.holders(runtime) == {(second, 0), (third, 0)}
    success, result = run(manager, third, url)
    assert (success, result["success"]) == (True, True)


def test_two_engines_share_a_pool(manager: Any, runtime: Any, swarm_conf: Any) -> None:
    engines = [manager, swarm.SwarmManager(swarm_conf, "http://qinling-api:7070")]
    claimed, failed = [], []

    def claim(engine: Any) -> None:
        try:
            claimed.extend(engine.scaleup_function(str(uuid.uuid4()), 0, identifier=runtime)[0])
        except exc.OrchestratorException as error:
            failed.append(error)

    threads = [threading.Thread(target=claim, args=(engines[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 2
    assert len(failed) == 2


def test_lost_workers_are_replaced(manager: Any, runtime: Any, etcd: Any) -> None:
    function_id = str(uuid.uuid4())
    names, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    etcd.create_worker(function_id, names[0])
    etcd[function_id, 0, "url"] = url
    assert run(manager, function_id, url)[0]
    manager.client.remove(names[0])
    # Until its container has stopped, the worker may still answer.
    time.sleep(4)
    success, result = run(manager, function_id, url)
    assert (success, result["success"]) == (True, True)
    assert len(etcd[function_id, 0]) == 1
    assert names[0] not in etcd[function_id, 0]


def test_released_function_gets_no_worker(manager: Any, runtime: Any) -> None:
    function_id = str(uuid.uuid4())
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    manager.delete_function(function_id, 0)
    with pytest.raises(requests.ConnectionError, match="has been released"):
        manager.session.get(f"{url}/ping")


def test_worker_requires_its_token(manager: Any, runtime: Any) -> None:
    service = manager._pool_services(runtime)[0]
    found = manager._running([service])[0]
    answer = requests.post(spec.worker_address(found, "execute", manager.options.gateway_url), json={}, timeout=5)
    assert answer.status_code == 403


def test_worker_is_confined(manager: Any, swarm_conf: Any) -> None:
    # On the local node, as containers of other nodes cannot be inspected.
    swarm_conf.set_override("placement_constraints", ["node.role==manager"], "swarm")
    runtime = str(uuid.uuid4())
    manager.create_pool(runtime, IMAGE)
    function_id = str(uuid.uuid4())
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    (service,) = manager._services(manager._function(function_id, 0))
    (task,) = manager.client.tasks([service["ID"]])
    container = manager.client.container(task["Status"]["ContainerStatus"]["ContainerID"])
    assert int(container["Config"]["User"].partition(":")[0]) >= spec.FIRST_USER
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert not [mount for mount in container["Mounts"] if mount["Type"] == "bind"]
    assert set(container["NetworkSettings"]["Networks"]) == {NETWORK}
    # The secret is neither in a function's environment nor in reach of its processes.
    token = spec.token(spec.key_of(manager._record(runtime)), spec.name_of(service))
    for entry in ("main.environment", "main.neighbours"):
        success, result = run(manager, function_id, url, entry=entry)
        assert success, result
        assert result["success"], result
        assert token not in str(result)


def test_update_pool_and_rollback(manager: Any, runtime: Any) -> None:
    before = {spec.name_of(s) for s in manager._pool_services(runtime)}
    for bad in (OTHER, "localhost/qinling-no-such-image:1", "x\nprivileged: true"):
        start = time.monotonic()
        assert manager.update_pool(runtime, image=bad) is False
        assert time.monotonic() - start < 60
        assert {spec.name_of(s) for s in manager._services({spec.RUNTIME: runtime})} == before
    assert manager.update_pool(runtime, image=f"{IMAGE.rpartition(':')[0]}:2") is True
    after = {spec.name_of(s) for s in manager._services({spec.RUNTIME: runtime})}
    assert len(after) == 2
    assert not after & before
    assert manager.get_pool(runtime) == {"total": 2, "available": 2}


@pytest.mark.parametrize("image", [OTHER, "localhost/qinling-no-such-image:1", "x\nprivileged: true"])
def test_bad_image_leaves_nothing(manager: Any, image: Any) -> None:
    with pytest.raises(exc.OrchestratorException) as caught:
        manager.create_pool(str(uuid.uuid4()), image)
    print(caught.value)
    assert not manager._services({})


@pytest.mark.parametrize(
    ("given", "expected", "success"),
    [
        ({"__function_input": "sh -c id"}, "uid=7", True),
        ('["sh", "-c", "echo one two; echo three >&2"]', "one two\nthree", True),
        (["sh", "-c", "echo before; exit 3"], "before", False),
        (["sh", "-c", "touch /x || echo refused"], "refused", True),
    ],
)
def test_image_function(manager: Any, given: Any, expected: str, success: bool) -> None:
    name = f"{uuid.uuid4()}-{uuid.uuid4()}"[:63]
    start = time.monotonic()
    assert manager.prepare_execution("f", 0, rlimit=RLIMIT, image=OTHER, identifier=name, input=given) == (name, None)
    done, result = manager.run_execution("e", "f", 0, identifier=name, timeout=20)
    print(f"image function: {time.monotonic() - start:.2f} s, {result}")
    assert done is success
    # Docker does not keep the order between stdout and stderr.
    assert all(line in result["logs"] for line in expected.splitlines())
    assert 0 < result["duration"] < 5
    if not success:
        assert "status 3" in result["output"]
    assert manager.client.service(name) is None


def test_image_function_timeout_and_errors(manager: Any) -> None:
    name = str(uuid.uuid4())
    manager.prepare_execution(
        "f", 0, rlimit=RLIMIT, image=OTHER, identifier=name, input=["sh", "-c", "echo a; sleep 60"]
    )
    start = time.monotonic()
    done, result = manager.run_execution("e", "f", 0, identifier=name, timeout=2)
    assert time.monotonic() - start < 15
    assert (done, result["output"], result["duration"]) == (False, "Function execution timeout.", 2)
    assert manager.client.service(name) is None
    with pytest.raises(exc.OrchestratorException, match="Invalid image name"):
        manager.prepare_execution("f", 0, rlimit=RLIMIT, image="x\nprivileged: true", identifier=name)
    manager.prepare_execution("f", 0, rlimit=RLIMIT, image="localhost/qinling-no-such-image:1", identifier=name)
    done, result = manager.run_execution("e", "f", 0, identifier=name, timeout=20)
    assert done is False
    assert "No such image" in result["output"]

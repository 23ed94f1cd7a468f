# SPDX-License-Identifier: Apache-2.0
"""Tests of Qinling's Kubernetes driver on a real cluster, with a user who has only the shipped permissions."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import yaml
from support import HERE, HOST_ADDRESS, RBAC, Registry, eventually, request

pytest.importorskip("qinling_kolla", reason="needs the package roles/image/files/qinling_kolla with its dependencies")

from oslo_config import cfg
from qinling import config as qinling_config
from qinling import context
from qinling import exceptions as exc
from qinling_kolla import config as our_config
from qinling_kolla import reclaim, worker
from qinling_kolla.orchestrator import kubernetes as driver
from qinling_kolla.orchestrator import kubernetes_api

PODS = "/api/v1/namespaces/qinling/pods"
LIMITS = {"cpu": 100, "memory_size": 64 * 1024 * 1024}
# Each (API group, resource, verb) that the driver has used.
USED: set[tuple[str, str, str]] = set()


def used_rule(verb: str, path: str) -> tuple[str, str, str] | None:
    """Return the rule that permits a request, or None if the request needs no permission."""
    found = re.fullmatch(
        r"/(?:api/v1|apis/([a-z0-9.]+)/v1)/namespaces/[a-z-]+(?:/([a-z]+)(?:/([^/]+)(?:/([a-z]+)(?:/.*)?)?)?)?", path
    )
    if not found:
        return None
    group, resource, name, part = found.groups()
    if part:
        resource = f"{resource}/{part}"
    verbs = {"POST": "create", "PATCH": "patch", "DELETE": "deletecollection", "GET": "list"}
    verbs |= {"DELETE": "delete", "GET": "get"} if name else {}
    return (group or "", resource, verbs[verb]) if resource else ("", "namespaces", "get")


@pytest.fixture(scope="session", autouse=True)
def recorded(admin: Any) -> Iterator[None]:
    """Record the permissions that the driver uses."""
    patch = pytest.MonkeyPatch()
    call, send = kubernetes_api.Api.call, driver.PodAdapter.send

    def recording(self: Any, verb: str, path: str, *arguments: Any, **options: Any) -> Any:
        USED.add(used_rule(verb, path) or ("", "", ""))
        return call(self, verb, path, *arguments, **options)

    def sending(self: Any, sent: Any, *arguments: Any, **options: Any) -> Any:
        if self._manager.proxied:
            USED.add(("", "pods/proxy", {"GET": "get", "POST": "create"}[sent.method]))
        return send(self, sent, *arguments, **options)

    patch.setattr(kubernetes_api.Api, "call", recording)
    patch.setattr(driver.PodAdapter, "send", sending)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def conf(credentials: dict[str, str]) -> cfg.ConfigOpts:
    """Return the configuration as the engine would read it."""
    for group, options in qinling_config.list_opts():
        if group != "keystone_authtoken":
            cfg.CONF.register_opts(list(options), group)
    our_config.register(cfg.CONF)
    cfg.CONF([], project="qinling", default_config_files=[])
    for name, value in {**credentials, "replicas": 2, "pool_timeout": 60}.items():
        cfg.CONF.set_override(name, value, "kubernetes")
    cfg.CONF.set_override("auth_enable", False, "pecan")
    return cfg.CONF


@pytest.fixture(params=["proxy", "nodeport"])
def access(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def start(conf: cfg.ConfigOpts, registry: Registry) -> Callable[..., driver.KubernetesManager]:
    """Return a factory of drivers."""
    context.set_ctx(context.Context())

    def create(worker_access: str = "proxy", **overrides: Any) -> driver.KubernetesManager:
        for name, value in {"worker_access": worker_access, **overrides}.items():
            conf.set_override(name, value, "kubernetes")
        return driver.KubernetesManager(conf, f"http://{HOST_ADDRESS}:7070", registry)

    return create


@pytest.fixture
def runtime(start: Any, images: list[str]) -> Iterator[str]:
    """Return the ID of a runtime, and delete its pool at the end."""
    name = str(uuid.uuid4())
    yield name
    start().delete_pool(name)


def execute(
    manager: driver.KubernetesManager, url: str, function_id: str, given: Any = None, timeout: int = 10
) -> dict[str, Any]:
    """Execute a function like Qinling's engine and return the worker's response."""
    body = {"input": given, "timeout": timeout, "execution_id": "e", "function_id": function_id}
    success, result = worker.url_request(manager.session, f"{url}/execute", body=body)
    return {**result, "answered": success}


def pods(admin: Any, **labels: str) -> set[str]:
    """Return the names of the pods with labels."""
    items = request(admin, "GET", PODS)["items"]
    return {item["metadata"]["name"] for item in items if labels.items() <= item["metadata"]["labels"].items()}


def test_function_lifecycle(
    admin: Any, start: Any, runtime: str, images: list[str], access: str, registry: Registry
) -> None:
    manager, function_id = start(access), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    assert manager.get_pool(runtime) == {"total": 2, "available": 2}

    workers, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    registry.create_worker(function_id, workers[0])
    assert manager.get_pool(runtime) == {"total": 2, "available": 1}
    result = execute(manager, url, function_id)
    assert (result["answered"], result["success"]) == (True, True), result
    output = result["output"]
    assert output["pod"] == workers[0]
    assert output["uid"] == 1000
    assert int(output["capabilities"], 16) == 0
    assert (output["no_new_privileges"], output["seccomp"]) == ("1", "2")
    assert output["service_account"] is False
    # Kubernetes always adds this variable.
    assert output["service_links"] == ["KUBERNETES_SERVICE_HOST"]
    assert output["packages_writable"] is True

    more, same = manager.scaleup_function(function_id, 0, identifier=runtime)
    assert same == url
    assert more != workers
    seen: set[str] = set()
    # A new worker is used once the list of workers is refreshed and its port is open.

    def both_seen() -> bool:
        seen.add(execute(manager, url, function_id)["output"]["pod"])
        return seen == {workers[0], more[0]}

    eventually(both_seen, 10)
    # Another engine, or the same one after a restart, finds the same workers.
    other = start(access)
    assert {execute(other, url, function_id)["output"]["pod"] for _number in range(4)} == {workers[0], more[0]}
    with pytest.raises(exc.OrchestratorException, match=r"no free worker for runtime .*: 2 of 2 in use"):
        manager.scaleup_function(str(uuid.uuid4()), 0, identifier=runtime)

    manager.delete_worker(more[0])
    assert execute(manager, url, function_id)["output"]["pod"] == workers[0]
    manager.delete_function(function_id, 0)
    eventually(lambda: manager.get_pool(runtime) == {"total": 2, "available": 2}, 90)

    manager.delete_pool(runtime)
    with pytest.raises(exc.RuntimeNotFoundException):
        manager.get_pool(runtime)
    eventually(lambda: not pods(admin, runtime_id=runtime), 90)
    # The cluster's garbage collection deletes the services of node ports after their pods.
    eventually(lambda: not request(admin, "GET", "/api/v1/namespaces/qinling/services")["items"], 30)


def test_reclaimed_worker_is_replaced(start: Any, runtime: str, images: list[str]) -> None:
    manager, (first, second, third) = start(), [str(uuid.uuid4()) for _number in range(3)]
    manager.create_pool(runtime, images[0])
    claimed = {name for each in (first, second) for name in manager.scaleup_function(each, 0, identifier=runtime)[0]}
    assert manager.holders(runtime) == {(first, 0), (second, 0)}
    with pytest.raises(reclaim.NoFreeWorker):
        manager.scaleup_function(third, 0, identifier=runtime)
    manager.delete_function(first, 0)
    workers, url = manager.scaleup_function(third, 0, identifier=runtime)
    assert not claimed & set(workers)
    assert manager.holders(runtime) == {(second, 0), (third, 0)}
    assert execute(manager, url, third)["output"]["calls"] == 1


def test_worker_rejects_requests_without_token(start: Any, runtime: str, images: list[str]) -> None:
    manager, function_id = start(), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    pod = manager.choose_worker(runtime, function_id, "0")
    stranger = {**pod, "metadata": {**pod["metadata"], "uid": "guess"}}
    manager._workers[function_id, "0"] = (time.monotonic() + 10, [stranger])
    assert execute(manager, url, function_id)["output"] == "wrong worker token"


def test_update_and_rollback(start: Any, runtime: str, images: list[str]) -> None:
    manager, function_id = start(), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    assert manager.update_pool(runtime, images[1]) is True
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    assert execute(manager, url, function_id)["output"]["revision"] == "2"
    begun = time.monotonic()
    assert manager.update_pool(runtime, "qinling.test/missing:1") is False
    assert time.monotonic() - begun < 40
    eventually(lambda: manager.get_pool(runtime)["total"] == 2, 30)
    assert execute(manager, url, function_id)["output"]["revision"] == "2"
    assert manager.update_pool(runtime, "x:1\n hostNetwork: true") is False
    assert manager.update_pool(str(uuid.uuid4()), images[0]) is False


def test_missing_image_is_reported_and_pool_removed(admin: Any, start: Any, runtime: str) -> None:
    manager = start()
    with pytest.raises(exc.OrchestratorException, match=r"ErrImagePull|ImagePullBackOff"):
        manager.create_pool(runtime, "qinling.test/missing:1")
    with pytest.raises(exc.RuntimeNotFoundException):
        manager.get_pool(runtime)
    eventually(lambda: not pods(admin, runtime_id=runtime), 90)


def test_existing_pool_is_reused(start: Any, runtime: str, images: list[str]) -> None:
    start(replicas=1).create_pool(runtime, images[0])
    start(replicas=2).create_pool(runtime, images[0])
    assert start().get_pool(runtime) == {"total": 2, "available": 2}


@pytest.mark.parametrize("loss", ["pod deleted", "worker ended"])
def test_lost_worker_is_replaced(
    admin: Any, start: Any, runtime: str, images: list[str], access: str, registry: Registry, loss: str
) -> None:
    manager, function_id = start(access), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    (name,), url = manager.scaleup_function(function_id, 0, identifier=runtime)
    registry.create_worker(function_id, name)
    assert execute(manager, url, function_id)["success"]
    if loss == "pod deleted":
        request(admin, "DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
        # The worker can still answer until its process has ended.
        time.sleep(2)
    else:
        with pytest.raises(worker.Lost):
            execute(manager, url, function_id, {"exit": 1})
    healed = execute(manager, url, function_id)
    assert (healed["answered"], healed["success"]) == (True, True), healed
    assert healed["output"]["calls"] == 1
    assert registry.get_workers(function_id) == [healed["output"]["pod"]]
    assert (healed["output"]["pod"] == name) is (loss == "worker ended")


def test_worker_missing_in_etcd_is_found(start: Any, runtime: str, images: list[str], registry: Registry) -> None:
    manager, function_id = start(), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    workers, _unused = manager.scaleup_function(function_id, 0, identifier=runtime)
    # As if etcd had lost its data.
    again, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    assert again == workers
    assert execute(manager, url, function_id)["success"]


def test_slow_function_is_stopped_and_not_restarted(start: Any, runtime: str, images: list[str], conf: Any) -> None:
    conf.set_override("worker_read_margin", 1, "engine")
    manager, function_id = start(), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    result = execute(manager, url, function_id, {"sleep": 5}, timeout=1)
    conf.clear_override("worker_read_margin", "engine")
    assert result["output"] == worker.TIMEOUT_OUTPUT
    time.sleep(4)
    assert execute(manager, url, function_id)["output"]["calls"] == 2


def run_image(
    manager: driver.KubernetesManager, image: str, given: Any, timeout: int = 10
) -> tuple[bool, dict[str, Any]]:
    execution_id, function_id = str(uuid.uuid4()), str(uuid.uuid4())
    name = f"{execution_id}-{function_id}"[:63]
    identifier, url = manager.prepare_execution(
        function_id, 0, rlimit=LIMITS, image=image, identifier=name, input=given
    )
    assert (identifier, url) == (name, None)
    success, result = manager.run_execution(execution_id, function_id, 0, identifier=identifier, timeout=timeout)
    return success, result


@pytest.mark.parametrize(
    ("given", "timeout", "success", "result"),
    [
        (["sh", "-c", "echo out; id -u"], 10, True, {"logs": "out\n1000\n", "duration": 0}),
        (["sh", "-c", 'echo "{\\"a\\": 1}"'], 10, True, {"logs": '{"a": 1}\n', "duration": 0}),
        ({"__function_input": "echo several words"}, 10, True, {"logs": "several words\n", "duration": 0}),
        (
            ["echo", '"]\n    securityContext: {privileged: true}', "$(HOME) $$ a$b $"],
            10,
            True,
            {"logs": '"]\n    securityContext: {privileged: true} $(HOME) $$ a$b $\n', "duration": 0},
        ),
        (
            ["sh", "-c", "echo bad; exit 3"],
            10,
            False,
            {"logs": "bad\n", "duration": 0, "output": "Function execution failed: exit code 3."},
        ),
        (
            ["sh", "-c", "echo begun; sleep 30"],
            2,
            False,
            {"logs": "begun\n", "duration": 2, "output": "Function execution timeout."},
        ),
    ],
)
def test_image_function(
    admin: Any, start: Any, images: list[str], given: Any, timeout: int, success: bool, result: Any
) -> None:
    done = run_image(start(), images[0], given, timeout)
    assert done == (success, {**result, "duration": pytest.approx(result["duration"], abs=1)})
    eventually(lambda: not pods(admin, qinling_kind="image"), 10)


def test_image_function_exceeding_memory_fails(start: Any, images: list[str]) -> None:
    success, result = run_image(start(), images[0], ["python3", "-c", "x = bytearray(200 * 1024 * 1024)"])
    assert (success, result["output"]) == (False, "Function execution failed: exit code 137 (OOMKilled).")


def test_image_function_with_missing_image_fails(admin: Any, start: Any, images: list[str]) -> None:
    success, result = run_image(start(), "qinling.test/missing:1", [])
    assert not success
    assert re.search("ErrImagePull|ImagePullBackOff", result["output"])
    eventually(lambda: not pods(admin, qinling_kind="image"), 10)


@pytest.mark.parametrize(
    "image",
    [
        "x\n      securityContext:\n        privileged: true",
        'x", "securityContext": {"privileged": true}, "a": "',
        "{{ 7 * 7 }}",
        "x ",
        "x:1\n",
        "X/../y",
    ],
)
def test_injection_is_rejected(admin: Any, start: Any, image: str) -> None:
    manager, before = start(), pods(admin)
    with pytest.raises(exc.OrchestratorException, match="Invalid image name"):
        run_image(manager, image, [])
    with pytest.raises(exc.OrchestratorException, match="Invalid image name"):
        manager.create_pool(str(uuid.uuid4()), image)
    assert not pods(admin) - before


def test_orphaned_image_function_is_removed(
    admin: Any, start: Any, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = start()
    name = f"{uuid.uuid4()}-x"
    manager.prepare_execution(
        str(uuid.uuid4()), 0, rlimit=LIMITS, image=images[0], identifier=name, input=["sleep", "60"]
    )
    assert request(admin, "GET", f"{PODS}/{name}")
    monkeypatch.setattr(driver.KubernetesManager, "_image_lifetime", -100)
    start()
    eventually(lambda: request(admin, "GET", f"{PODS}/{name}") is None, 10)


def test_network_policy_and_namespace_are_created(admin: Any, start: Any) -> None:
    start()
    policy = request(admin, "GET", "/apis/networking.k8s.io/v1/namespaces/qinling/networkpolicies/qinling-functions")
    assert policy["spec"]["egress"][1] == {
        "to": [{"ipBlock": {"cidr": f"{HOST_ADDRESS}/32"}}],
        "ports": [{"protocol": "TCP", "port": 7070}],
    }
    denied = policy["spec"]["egress"][2]["to"][0]["ipBlock"]["except"]
    assert "10.0.0.0/8" in denied
    assert "169.254.0.0/16" in denied


def test_api_server_outage_is_survived(start: Any, runtime: str, images: list[str]) -> None:
    switch = HERE / "cluster"
    manager, function_id = start(), str(uuid.uuid4())
    manager.create_pool(runtime, images[0])
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    assert execute(manager, url, function_id)["success"]
    subprocess.run([switch, "stop", "kube-apiserver"], check=True)
    try:
        assert manager.healthy() is False
        with pytest.raises(exc.OrchestratorException, match="does not answer"):
            manager.get_pool(runtime)
        with pytest.raises(exc.OrchestratorException):
            execute(manager, url, function_id)
        late = start()
    finally:
        subprocess.run([switch, "start", "kube-apiserver"], check=True)
    assert late.healthy()
    assert execute(manager, url, function_id)["success"]
    assert execute(late, url, function_id)["success"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ssl_ca_cert": "/nonexistent/ca"}, r"\[kubernetes\] ssl_ca_cert = /nonexistent/ca: cannot be read"),
        ({"key_file": "/nonexistent/key"}, r"\[kubernetes\] key_file = /nonexistent/key: cannot be read"),
    ],
)
def test_missing_files_are_reported(start: Any, conf: cfg.ConfigOpts, overrides: dict[str, str], message: str) -> None:
    before = {name: conf.kubernetes[name] for name in overrides}
    try:
        with pytest.raises(exc.OrchestratorException, match=message):
            start(**overrides)
    finally:
        for name, value in before.items():
            conf.set_override(name, value, "kubernetes")


def test_missing_ca_does_not_disable_verification(start: Any, conf: cfg.ConfigOpts) -> None:
    before = conf.kubernetes.ssl_ca_cert
    try:
        manager = start(use_api_certificate=False, ssl_ca_cert="/nonexistent/ca")
        with pytest.raises(exc.OrchestratorException, match="certificate verify failed"):
            manager.get_pool(str(uuid.uuid4()))
    finally:
        conf.set_override("use_api_certificate", True, "kubernetes")
        conf.set_override("ssl_ca_cert", before, "kubernetes")


def milliseconds(action: Any, rounds: int = 1) -> tuple[float, float]:
    """Return the median and the 95th percentile of the durations of an action, in milliseconds."""
    times = []
    for _number in range(rounds):
        begun = time.perf_counter()
        action()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times), sorted(times)[int(len(times) * 0.95)]


def test_latency(start: Any, runtime: str, images: list[str], access: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the durations of executions, including the preceding ping.

    "cold" claims a free worker and executes, "warm" executes on an assigned worker.
    """
    manager = start(access, replicas=4)
    manager.create_pool(runtime, images[0])

    def cold() -> None:
        function_id = str(uuid.uuid4())
        _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
        assert execute(manager, url, function_id)["success"]

    first, _unused = milliseconds(cold, 3)
    function_id = str(uuid.uuid4())
    _unused, url = manager.scaleup_function(function_id, 0, identifier=runtime)
    assert execute(manager, url, function_id)["success"]
    warm, slow = milliseconds(lambda: execute(manager, url, function_id), 60)
    with capsys.disabled():
        print(f"\n{access:9} cold {first:7.1f} ms   warm {warm:6.1f} ms, 95% below {slow:6.1f} ms")
    assert warm < 1000
    if access == "nodeport":
        target = manager.target(manager.choose_worker(runtime, function_id, "0"), "execute")
        with requests.Session() as session:
            session.trust_env = False
            direct, _unused = milliseconds(
                lambda: session.post(target.url, json={}, headers=target.headers, timeout=5), 60
            )
        with capsys.disabled():
            print(f"{'pod only':9} {'':16} warm {direct:6.1f} ms")


def test_granted_permissions_are_used_permissions(images: list[str]) -> None:
    """The shipped role grants exactly the permissions that the previous tests used."""
    role = next(document for document in yaml.safe_load_all(RBAC.read_text()) if document["kind"] == "Role")
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert USED - {("", "", "")} == granted

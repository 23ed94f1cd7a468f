# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes driver with a fake API; tests/kubernetes runs it on a real cluster."""

import contextlib
import datetime
import itertools
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from oslo_config import cfg
from qinling import config as qinling_config
from qinling import exceptions as exc

from qinling_kolla import config, reclaim, worker
from qinling_kolla.orchestrator import kubernetes as driver
from qinling_kolla.orchestrator import kubernetes_api as api
from qinling_kolla.orchestrator import names, transport

RUNTIME = "0f4a9a1e-3d0e-4c39-8d55-0c4e6cf13f8e"
FUNCTION = "7b9f8e62-6a1c-4c6f-8f5b-7d3b64b9f0aa"
URL = f"kubernetes://{RUNTIME}/{FUNCTION}/0"


class Cluster:
    """A fake of kubernetes_api.Api: pods and deployments in memory, with optimistic locking."""

    def __init__(self) -> None:
        self.namespace = "qinling"
        self.pods: dict[str, Any] = {}
        self.deployments: dict[str, Any] = {}
        self.created: list[Any] = []
        self.down = False
        self.before_patch = None
        self._version = itertools.count(1)

    path = api.Api.path

    def call(self, verb: str, path: Any, body: Any = None, **_unused: Any) -> Any:
        self._check()
        return {"major": "1", "minor": "20"} if path == "/version" else {}

    def _check(self) -> None:
        if self.down:
            raise api.Unavailable("Kubernetes API does not answer")

    def add(
        self, name: Any, ready: bool = True, since: str = "2020-01-01T00:00:00Z", waiting: Any = None, **labels: Any
    ) -> None:
        containers = [{"image": "i:1", "state": {"waiting": {"reason": waiting}} if waiting else {"running": {}}}]
        self.pods[name] = {
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "resourceVersion": str(next(self._version)),
                "labels": {"runtime_id": RUNTIME, **labels},
            },
            "spec": {"containers": [{"image": "i:1"}]},
            "status": {
                "phase": "Running",
                "hostIP": "192.0.2.1",
                "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": since}],
                "containerStatuses": containers,
            },
        }

    def list(self, kind: Any, label_selector: str) -> list[Any]:
        self._check()
        found = []
        for pod in self.pods.values():
            labels = pod["metadata"]["labels"]
            parts = label_selector.split(",")
            if all(
                labels.get(part.split("=")[0]) == part.split("=")[1] if "=" in part else part in labels
                for part in parts
            ):
                found.append(json.loads(json.dumps(pod)))
        return found

    def get(self, kind: Any, name: Any) -> Any:
        self._check()
        objects = getattr(self, kind)
        if name not in objects:
            raise api.NotFound("not found", 404)
        return json.loads(json.dumps(objects[name]))

    def create(self, kind: Any, body: Any) -> Any:
        self._check()
        self.created.append((kind, body))
        if kind == "services":
            return {"spec": {"ports": [{"nodePort": 30001}]}}
        if kind == "deployments":
            if body["metadata"]["name"] in self.deployments:
                raise api.Conflict("exists", 409)
            self.deployments[body["metadata"]["name"]] = body
        return body

    def patch(self, kind: Any, name: Any, body: Any) -> Any:
        self._check()
        if self.before_patch:
            self.before_patch(name)
        if kind == "deployments":
            self.created.append((kind, body))
            return {}
        if name not in self.pods:
            raise api.NotFound("not found", 404)
        metadata = self.pods[name]["metadata"]
        if body["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            raise api.Conflict("changed", 409)
        metadata["labels"].update(body["metadata"]["labels"])
        metadata["resourceVersion"] = str(next(self._version))
        return json.loads(json.dumps(self.pods[name]))

    def delete(self, kind: Any, name: Any, grace: Any = None) -> bool:
        self._check()
        return getattr(self, kind).pop(name, None) is not None

    def delete_all(self, kind: Any, label_selector: str) -> None:
        for pod in self.list(kind, label_selector):
            self.pods.pop(pod["metadata"]["name"])


class Registry:
    """A fake of Qinling's etcd."""

    def __init__(self, workers: Any = (), acquired: bool = True) -> None:
        self.workers, self.acquired = list(workers), acquired

    @contextlib.contextmanager
    def get_worker_lock(self, function_id: str, version: int = 0) -> Iterator[Any]:
        yield self

    def is_acquired(self) -> Any:
        return self.acquired

    def get_workers(self, function_id: str, version: int = 0) -> Any:
        return list(self.workers)

    def create_worker(self, function_id: str, name: Any, version: int = 0) -> None:
        self.workers.append(name)

    def delete_worker(self, function_id: str, name: Any, version: int = 0) -> None:
        self.workers.remove(name)


@pytest.fixture
def conf(pki: pathlib.Path) -> Any:
    result = cfg.ConfigOpts()
    for group, options in qinling_config.list_opts():
        if group not in ("keystone_authtoken", None):
            result.register_opts(list(options), group)
    config.register(result)
    result([], project="qinling", default_config_files=[])
    for name, file in {"ssl_ca_cert": "ca.crt", "cert_file": "server.crt", "key_file": "server.key"}.items():
        result.set_override(name, str(pki / file), "kubernetes")
    result.set_override("kube_host", "https://192.0.2.9:6443/", "kubernetes")
    return result


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    result = Cluster()
    result.deployments[RUNTIME] = {"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {}}
    monkeypatch.setattr(api, "Api", lambda conf: result)
    monkeypatch.setattr(driver, "CLAIM_SECONDS", 0.05)
    monkeypatch.setattr(driver, "POLL_SECONDS", 0.01)
    return result


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def manager(conf: Any, cluster: Any, registry: Any) -> Any:
    return driver.KubernetesManager(conf, "http://192.0.2.1:7070", registry)


def test_claim_assigns_only_free_ready_workers(manager: Any, cluster: Any) -> None:
    cluster.add("starting", ready=False)
    cluster.add("taken", function_id="other", function_version="0")
    cluster.add("free")
    workers, url = manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME)
    assert (workers, url) == (["free"], URL)
    assert cluster.pods["free"]["metadata"]["labels"]["function_id"] == FUNCTION
    assert cluster.pods["free"]["metadata"]["labels"]["qinling_worker"] == "free"


def test_claim_skips_a_worker_claimed_concurrently(manager: Any, cluster: Any) -> None:
    cluster.add("a")
    cluster.add("b")
    first: list[str] = []

    def faster(name: Any) -> None:
        if not first:
            first.append(name)
            cluster.pods[name]["metadata"].update(resourceVersion="changed")
            cluster.pods[name]["metadata"]["labels"]["function_id"] = "theirs"

    cluster.before_patch = faster
    workers, _unused = manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME)
    assert workers == ["b" if first == ["a"] else "a"]


@pytest.mark.parametrize(
    ("pods", "count", "message"),
    [
        ([], 1, f"no free worker for runtime {RUNTIME}: 0 of 2 in use, 2 not running$"),
        ([{"function_id": "f"}], 1, f"no free worker for runtime {RUNTIME}: 1 of 2 in use, 1 not running$"),
        ([{"function_id": "f"}, {"function_id": "g"}], 1, f"no free worker for runtime {RUNTIME}: 2 of 2 in use$"),
        (
            [{}, {"function_id": "g"}],
            2,
            f"only 1 of 2 requested workers are free for runtime {RUNTIME}: 1 of 2 in use$",
        ),
        (
            [{"ready": False, "waiting": "ImagePullBackOff"}, {"function_id": "g"}],
            1,
            f"no free worker for runtime {RUNTIME}: 1 of 2 in use, 1 not running .ImagePullBackOff",
        ),
    ],
)
def test_claim_without_enough_workers_reports_the_reason_and_claims_none(
    manager: Any, cluster: Any, pods: list[Any], count: int, message: str
) -> None:
    for number, pod in enumerate(pods):
        cluster.add(f"p{number}", **pod)
    with pytest.raises(reclaim.NoFreeWorker, match=message) as raised:
        manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME, count=count)
    assert raised.value.all_in_use == (len([pod for pod in pods if "function_id" in pod]) == 2)
    assert not [pod for pod in cluster.pods.values() if pod["metadata"]["labels"].get("function_id") == FUNCTION]


def test_claim_waits_for_a_starting_worker(manager: Any, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "CLAIM_SECONDS", 5)
    cluster.add("p", ready=False)
    slept = []

    def sleep(seconds: Any) -> None:
        slept.append(seconds)
        cluster.add("p")

    monkeypatch.setattr(time, "sleep", sleep)
    assert manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME)[0] == ["p"]
    assert len(slept) == 1


def test_claim_from_a_runtime_without_pool(manager: Any, cluster: Any) -> None:
    cluster.deployments.clear()
    with pytest.raises(exc.OrchestratorException, match="has no pool"):
        manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME)


def test_holders_are_the_functions_with_workers(manager: Any, cluster: Any) -> None:
    cluster.add("free")
    cluster.add("a", function_id=FUNCTION, function_version="0")
    cluster.add("b", function_id=FUNCTION, function_version="12")
    assert manager.holders(RUNTIME) == {(FUNCTION, 0), (FUNCTION, 12)}
    manager.delete_function(FUNCTION, 0)
    assert manager.holders(RUNTIME) == {(FUNCTION, 12)}


def test_unregistered_workers_are_used_first(manager: Any, cluster: Any, registry: Any) -> None:
    cluster.add("known", function_id=FUNCTION, function_version="0")
    cluster.add("forgotten", function_id=FUNCTION, function_version="0")
    cluster.add("free")
    registry.workers = ["known"]
    assert manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME)[0] == ["forgotten"]
    assert "function_id" not in cluster.pods["free"]["metadata"]["labels"]


@pytest.mark.parametrize(("known", "ready", "expected"), [("a", True, []), ("", True, ["a"]), ("", False, [])])
def test_a_function_keeps_the_workers_it_has(
    manager: Any, cluster: Any, registry: Any, known: str, ready: bool, expected: list[Any]
) -> None:
    cluster.add("a", ready=ready, function_id=FUNCTION, function_version="0")
    cluster.add("b", function_id="other", function_version="0")
    registry.workers = [known]
    assert manager.scaleup_function(FUNCTION, 0, identifier=RUNTIME, count=2) == (expected, URL)
    assert set(cluster.pods) == {"a", "b"}


def test_executions_rotate_and_pings_do_not(manager: Any, cluster: Any) -> None:
    for name in ("a", "b"):
        cluster.add(name, function_id=FUNCTION, function_version="0")
    adapter = driver.PodAdapter(manager)
    order = [adapter.resolve(f"{URL}/{path}").url.split("/pods/")[1][0] for path in ("ping", "execute") * 4]
    assert order == ["a", "a", "b", "b"] * 2


def test_target_through_the_proxy(manager: Any, cluster: Any, conf: Any) -> None:
    cluster.add("a", function_id=FUNCTION, function_version="0")
    target = driver.PodAdapter(manager).resolve(f"{URL}/execute")
    assert target.url == "https://192.0.2.9:6443/api/v1/namespaces/qinling/pods/a:9090/proxy/execute"
    assert target.verify == conf.kubernetes.ssl_ca_cert
    assert target.cert == (conf.kubernetes.cert_file, conf.kubernetes.key_file)
    assert target.headers == {"X-Qinling-Worker-Token": "uid-a"}


def test_target_by_node_port_carries_no_certificate(conf: Any, cluster: Any, registry: Any) -> None:
    conf.set_override("worker_access", "nodeport", "kubernetes")
    manager = driver.KubernetesManager(conf, "http://192.0.2.1:7070", registry)
    cluster.add("a", function_id=FUNCTION, function_version="0")
    for _number in range(2):
        target = driver.PodAdapter(manager).resolve(f"{URL}/ping")
        assert (target.url, target.cert) == ("http://192.0.2.1:30001/ping", None)
    assert [kind for kind, _unused in cluster.created].count("services") == 1


def test_lost_workers_are_replaced_and_registered(manager: Any, cluster: Any, registry: Any) -> None:
    registry.workers = ["gone"]
    cluster.add("lost", ready=False, function_id=FUNCTION, function_version="0")
    cluster.add("free")
    pod = manager.choose_worker(RUNTIME, FUNCTION, "0")
    assert pod["metadata"]["name"] == "free"
    assert registry.workers == ["free"]
    assert "lost" not in cluster.pods


def test_claim_waits_for_a_restarting_worker(manager: Any, cluster: Any) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat()
    cluster.add("p", ready=False, since=now, function_id=FUNCTION, function_version="0")
    cluster.add("free")
    with pytest.raises(transport.NotReached, match="restarting"):
        manager.choose_worker(RUNTIME, FUNCTION, "0")


def test_crashing_worker_is_replaced_at_once(manager: Any, cluster: Any) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat()
    labels = {"function_id": FUNCTION, "function_version": "0"}
    cluster.add("p", ready=False, since=now, waiting="CrashLoopBackOff", **labels)
    cluster.add("free")
    assert manager.choose_worker(RUNTIME, FUNCTION, "0")["metadata"]["name"] == "free"


def test_only_one_engine_replaces_workers(manager: Any, cluster: Any, registry: Any) -> None:
    registry.acquired = False
    cluster.add("free")
    with pytest.raises(transport.NotReached, match="another engine"):
        manager.choose_worker(RUNTIME, FUNCTION, "0")


def answer(status: Any, body: Any) -> Any:
    result: Any = requests.Response()
    result.status_code = status
    result._content = json.dumps(body).encode()
    result._content_consumed = True
    return result


def refused(message: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "message": message}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"output": 1}, False),
        (500, {"output": "the function's own", "success": False}, False),
        (404, refused('pods "a" not found'), True),
        (503, refused("error trying to reach service: dial tcp 10.0.0.1:9090: connect: connection refused"), True),
    ],
)
def test_errors_of_the_api_server_about_a_worker(manager: Any, status: int, body: Any, expected: bool) -> None:
    response = answer(status, body)
    assert driver.PodAdapter(manager).not_reached(response) is expected
    assert response.json() == body


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, 'pods "a:9090" is forbidden', exc.OrchestratorException),
        (503, "error trying to reach service: EOF", requests.ConnectionError),
    ],
)
def test_request_that_may_have_started_is_never_repeated(manager: Any, status: int, message: str, error: Any) -> None:
    with pytest.raises(error, match=message) as raised:
        driver.PodAdapter(manager).not_reached(answer(status, refused(message)))
    if isinstance(raised.value, requests.RequestException):
        assert not worker.never_arrived(raised.value)


def test_worker_is_not_reached_while_the_api_is_down(manager: Any, cluster: Any) -> None:
    cluster.down = True
    assert manager.healthy() is False
    with pytest.raises(transport.NotReached):
        driver.PodAdapter(manager).resolve(f"{URL}/ping")


def test_engine_starts_without_the_api_and_prepares_later(conf: Any, cluster: Any, registry: Any) -> None:
    cluster.down = True
    manager = driver.KubernetesManager(conf, "http://192.0.2.1:7070", registry)
    assert not manager.healthy()
    with pytest.raises(api.Unavailable):
        manager.create_pool(RUNTIME, "i:1")
    cluster.down = False
    assert manager.healthy()
    manager._prepare()
    (policy,) = [body for kind, body in cluster.created if kind == "networkpolicies"]
    assert {"ipBlock": {"cidr": "192.0.2.1/32"}} in policy["spec"]["egress"][1]["to"]


@pytest.mark.parametrize(
    "url", ["kubernetes://a/b", f"kubernetes://{RUNTIME}/x..y/0/ping", "kubernetes://a/b/../execute"]
)
def test_invalid_addresses_are_refused(url: str) -> None:
    with pytest.raises((ValueError, names.InvalidName)):
        driver.parse_url(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("[engine]\nsidecar_image = s:1\n", "s:1"), ("[engine]\nsidecar_image =\n", "")],
)
def test_sidecar_only_when_set(conf: Any, tmp_path: pathlib.Path, text: str, expected: str) -> None:
    (tmp_path / "qinling.conf").write_text(text)
    conf([], project="qinling", default_config_files=[str(tmp_path / "qinling.conf")])
    assert driver.sidecar_image(conf) == expected


def test_update_rolls_back_to_the_previous_template(
    manager: Any, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"metadata": {"annotations": {}}, "spec": {"containers": [{"name": "worker", "image": "old:1"}]}}
    cluster.deployments[RUNTIME]["spec"]["template"] = old
    waited = []

    def await_pool(name: Any, image: str) -> None:
        waited.append(image)
        if image == "new:1":
            raise exc.OrchestratorException("does not run")

    monkeypatch.setattr(manager, "_await_pool", await_pool)
    assert manager.update_pool(RUNTIME, "new:1") is False
    assert waited == ["new:1", "old:1"]
    (last,) = cluster.created[-1][1]
    assert last == {"op": "replace", "path": "/spec/template", "value": old}
    assert manager.update_pool(RUNTIME, "newer:1") is True


def test_update_with_the_api_down_changes_nothing(manager: Any, cluster: Any) -> None:
    cluster.down = True
    assert manager.update_pool(RUNTIME, "new:1") is False


def test_failed_new_pool_is_deleted(manager: Any, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def await_pool(name: Any, image: str) -> None:
        raise exc.OrchestratorException("ImagePullBackOff")

    monkeypatch.setattr(manager, "_await_pool", await_pool)
    cluster.deployments.clear()
    with pytest.raises(exc.OrchestratorException, match="ImagePullBackOff"):
        manager.create_pool(RUNTIME, "i:1")
    assert not cluster.deployments


def test_failed_existing_pool_stays(manager: Any, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def await_pool(name: Any, image: str) -> None:
        raise exc.OrchestratorException("ImagePullBackOff")

    monkeypatch.setattr(manager, "_await_pool", await_pool)
    with pytest.raises(exc.OrchestratorException, match="ImagePullBackOff"):
        manager.create_pool(RUNTIME, "i:1")
    assert RUNTIME in cluster.deployments


@pytest.mark.parametrize("option", ["ssl_ca_cert", "cert_file", "key_file"])
def test_missing_file_is_named(conf: Any, option: str) -> None:
    conf.set_override(option, "/nonexistent", "kubernetes")
    with pytest.raises(exc.OrchestratorException, match=rf"\[kubernetes\] {option} = /nonexistent"):
        api.tls(conf)


@pytest.mark.parametrize("given", [True, False])
def test_without_client_certificate_the_server_is_still_verified(conf: Any, given: bool) -> None:
    conf.set_override("use_api_certificate", False, "kubernetes")
    if not given:
        conf.set_override("ssl_ca_cert", "/nonexistent", "kubernetes")
    verify, certificate = api.tls(conf)
    assert certificate is None
    assert verify == (conf.kubernetes.ssl_ca_cert if given else True)
    assert api._configuration(conf).verify_ssl is True


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, api.NotFound), (409, api.Conflict), (403, api.ApiError), (503, api.Unavailable), (429, api.Unavailable)],
)
def test_errors_of_the_api(status: int, kind: Any) -> None:
    from kubernetes import client

    error = client.ApiException(status=status, reason="r")
    error.body = b"why"
    result = api.Api._error("GET", "/x", error)
    assert result.__class__ is kind
    assert isinstance(result, exc.OrchestratorException)
    assert "GET /x" in str(result)
    assert "why" in str(result)


@pytest.mark.parametrize(("status", "prepared"), [(403, True), (401, True), (500, False)])
def test_server_that_hides_its_version_counts_as_current(
    conf: Any, cluster: Any, registry: Any, monkeypatch: pytest.MonkeyPatch, status: int, prepared: bool
) -> None:
    call = cluster.call

    def hiding(verb: str, path: Any, *arguments: Any, **options: Any) -> Any:
        if path == "/version":
            raise (api.ApiError if status < 500 else api.Unavailable)("no", status)
        return call(verb, path, *arguments, **options)

    monkeypatch.setattr(cluster, "call", hiding)
    manager = driver.KubernetesManager(conf, "http://192.0.2.1:7070", registry)
    assert manager._prepared is prepared
    assert manager._settings.seccomp_field is True

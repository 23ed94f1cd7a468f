# SPDX-License-Identifier: Apache-2.0
"""The Swarm driver with an in-memory Swarm and one small HTTP server as all workers."""

import base64
import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import requests
from qinling import exceptions as exc
from qinling.utils import etcd_util

from qinling_kolla import reclaim
from qinling_kolla.orchestrator import swarm, transport
from qinling_kolla.orchestrator import swarm_spec as spec

RUNTIME = "runtime-1"


class FakeSwarm:
    """Services, tasks and pool records; as in Swarm, updates require the current version."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = {}
        self.records: dict[str, Any] = {}
        self.numbers = itertools.count(1)
        self.state, self.error = "running", None
        self.broken = None
        self.steal = 0

    def check(self, network: Any) -> None:
        if self.broken:
            raise exc.OrchestratorException(self.broken)

    def internal(self, network: Any) -> bool:
        return True

    def single_node(self) -> bool:
        return True

    def local_image(self, image: str) -> str:
        return "sha256:1"

    def api_at_least(self, major: Any, minor: Any) -> bool:
        return False

    def services(self, labels: Any) -> list[Any]:
        self.check("")
        found = []
        for item in self.all.values():
            if labels.items() <= item["Spec"]["Labels"].items():
                found.append(json.loads(json.dumps(item)))
        return found

    def service(self, name: Any) -> Any:
        return next((s for s in self.all.values() if name in (s["ID"], s["Spec"]["Name"])), None)

    def tasks(self, ids: Any) -> list[dict[str, Any]]:
        network = {"Network": {"ID": "n", "Spec": {"Name": "qinling-functions"}}, "Addresses": ["127.0.0.1/8"]}
        status = {"State": self.state, "Err": self.error}
        return [
            {"ServiceID": each, "Status": status, "NetworksAttachments": [network], "CreatedAt": str(n)}
            for each in ids
            for n in range(1 if self.state == "running" else 3)
        ]

    def create(self, service: Any) -> str:
        number = f"id{next(self.numbers)}"
        self.all[number] = {"ID": number, "Version": {"Index": 1}, "Spec": service}
        return number

    def relabel(self, service: Any, labels: Any) -> bool:
        current: Any = self.all.get(service["ID"])
        if self.steal:
            self.steal -= 1
            current["Spec"]["Labels"].update(spec.function_labels("thief", 0))
            current["Version"]["Index"] += 1
        if current is None or current["Version"] != service["Version"]:
            return False
        current["Spec"] = spec.relabelled(current, labels)
        current["Version"]["Index"] += 1
        return True

    def remove(self, ident: Any) -> None:
        self.all = {k: s for k, s in self.all.items() if ident not in (k, s["Spec"]["Name"])}

    def pool(self, name: Any) -> Any:
        return self.records.get(name)

    def save_pool(self, name: Any, content: Any, labels: Any) -> None:
        old = self.records.get(name)
        data = old["Spec"]["Data"] if old else base64.b64encode(content).decode()
        self.records[name] = {"Spec": {"Name": name, "Labels": labels, "Data": data}}

    def remove_pool(self, name: Any) -> None:
        self.records.pop(name, None)

    def remove_unused_volumes(self, instance: Any) -> None:
        pass


class Worker(http.server.BaseHTTPRequestHandler):
    """A fake worker behind a gateway; ``answers`` are the first responses as (status, headers)."""

    answers: ClassVar[list[Any]] = []
    seen: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        self.seen.append((self.path, dict(self.headers)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[str]:
    Worker.answers, Worker.seen = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Worker)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def manager(conf: Any, etcd: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    fake = FakeSwarm()
    monkeypatch.setattr(swarm, "SwarmClient", lambda options: fake)
    monkeypatch.setattr(swarm, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(swarm, "CLAIM_SECONDS", 0.2)
    overrides = {"gateway_url": gateway, "network": "qinling-functions", "replicas": 2, "pool_timeout": 5}
    for name, value in overrides.items():
        conf.set_override(name, value, "swarm")
    manager = swarm.SwarmManager(conf, "http://api:7070")
    manager.fake = fake
    yield manager
    for name in overrides:
        conf.clear_override(name, "swarm")


@pytest.fixture
def pool(manager: Any) -> Any:
    manager.create_pool(RUNTIME, "img:1")
    return manager


def test_a_pool_is_created_filled_and_deleted(pool: Any) -> None:
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 2}
    assert {path for path, _unused in Worker.seen} == {"/worker/127.0.0.1/ping"}
    pool.delete_pool(RUNTIME)
    assert (pool.fake.all, pool.fake.records) == ({}, {})
    with pytest.raises(exc.RuntimeNotFoundException):
        pool.get_pool(RUNTIME)
    pool.delete_pool(RUNTIME)


def test_pool_that_does_not_start_is_removed_and_reports_the_reason(manager: Any) -> None:
    manager.fake.state, manager.fake.error = "rejected", "No such image: img:1"
    with pytest.raises(exc.OrchestratorException, match=r"do not start.*No such image: img:1"):
        manager.create_pool(RUNTIME, "img:1")
    assert (manager.fake.all, manager.fake.records) == ({}, {})


@pytest.mark.parametrize("image", ["x\nprivileged: true", "UPPER", "", None, "a b", "--privileged", "img:1\n"])
def test_invalid_image_names_are_refused(manager: Any, image: str | None) -> None:
    with pytest.raises(exc.OrchestratorException, match="Invalid image name"):
        manager.create_pool(RUNTIME, image)
    if image:
        with pytest.raises(exc.OrchestratorException, match="Invalid image name"):
            manager.prepare_execution("f", 0, rlimit={"cpu": 1, "memory_size": 1}, image=image, identifier="e")
    assert (manager.fake.all, manager.fake.records) == ({}, {})


@pytest.mark.parametrize("missing", [False, True])
def test_worker_that_does_not_start_is_not_in_use(pool: Any, monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    pool.scaleup_function("f", 0, identifier=RUNTIME)
    pool.fake.state, pool.fake.error = "pending", "no suitable node"
    if missing:
        pool.fake.remove(next(spec.name_of(s) for s in pool._pool_services(RUNTIME) if spec.is_idle(s)))
        monkeypatch.setattr(pool, "_fill", lambda runtime_id: None)
    with pytest.raises(reclaim.NoFreeWorker, match="1 of 2 in use, 1 not running") as raised:
        pool.scaleup_function("g", 0, identifier=RUNTIME)
    assert not raised.value.all_in_use


def test_claim_skips_a_worker_claimed_by_another_engine(pool: Any) -> None:
    pool.fake.steal = 1
    names, url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    assert len(names) == 1
    assert url == f"swarm://f-0/{RUNTIME}"
    assert len(pool._services({spec.FUNCTION: "thief"})) == len(pool._services({spec.FUNCTION: "f"})) == 1


def test_replicas_limit_workers_of_functions(pool: Any, etcd: Any) -> None:
    for name in pool.scaleup_function("f", 0, identifier=RUNTIME, count=5)[0]:
        etcd.create(f"f_0/worker_{name}", name)
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 0}
    assert pool.scaleup_function("f", 0, identifier=RUNTIME)[0] == []
    with pytest.raises(reclaim.NoFreeWorker, match=f"^no free worker for runtime {RUNTIME}: 2 of 2 in use$") as raised:
        pool.scaleup_function("g", 0, identifier=RUNTIME)
    assert raised.value.all_in_use
    pool.delete_function("f", 0)
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 2}


def test_unregistered_workers_are_used_first(pool: Any, etcd: Any) -> None:
    """An engine was killed before it registered them in etcd, or while it reclaimed them."""
    first, _unused = pool.scaleup_function("f", 0, identifier=RUNTIME)
    assert pool.scaleup_function("f", 0, identifier=RUNTIME)[0] == first
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 1}
    etcd.create(f"f_0/worker_{first[0]}", first[0])
    assert pool.scaleup_function("f", 0, identifier=RUNTIME)[0] not in ([], first)


def test_externally_removed_workers_are_replaced_at_the_next_claim(pool: Any) -> None:
    pool.fake.all.clear()
    assert len(pool.scaleup_function("f", 0, identifier=RUNTIME)[0]) == 1
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 1}


def test_versions_of_a_function_do_not_share_workers(pool: Any) -> None:
    first, _unused = pool.scaleup_function("f", 0, identifier=RUNTIME)
    second, _unused = pool.scaleup_function("f", 1, identifier=RUNTIME)
    pool.delete_function("f", 0)
    assert [spec.name_of(s) for s in pool._services({spec.FUNCTION: "f"})] == second != first


def test_delete_worker_touches_only_workers_of_this_deployment(pool: Any) -> None:
    foreign = {"Name": "foreign", "Labels": {spec.INSTANCE: "other", spec.KIND: spec.WORKER}}
    pool.fake.create(foreign)
    for name in ("foreign", "never-was"):
        pool.delete_worker(name)
    assert pool.fake.service("foreign")
    (name,), _unused = pool.scaleup_function("f", 0, identifier=RUNTIME)
    pool.delete_worker(name)
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 2}


def test_update_pool_replaces_idle_workers_only(pool: Any) -> None:
    (claimed,), _unused = pool.scaleup_function("f", 0, identifier=RUNTIME)
    assert pool.update_pool(RUNTIME, image="img:2") is True
    images = {spec.name_of(s): spec.labels_of(s)[spec.IMAGE] for s in pool._pool_services(RUNTIME)}
    assert sorted(images.values()) == ["img:1", "img:2"]
    assert images[claimed] == "img:1"
    pool.delete_function("f", 0)
    assert {spec.labels_of(s)[spec.IMAGE] for s in pool._pool_services(RUNTIME)} == {"img:2"}


@pytest.mark.parametrize(("image", "state"), [("img:2", "rejected"), ("x\nprivileged: true", "running")])
def test_update_pool_rolls_back(pool: Any, image: str, state: str) -> None:
    before = set(pool.fake.all)
    pool.fake.state, pool.fake.error = state, "No such image"
    assert pool.update_pool(RUNTIME, image=image) is False
    assert set(pool.fake.all) == before
    pool.fake.state = "running"
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 2}


def test_update_pool_returns_false_while_docker_is_down(pool: Any) -> None:
    pool.fake.broken = "no connection"
    assert pool.update_pool(RUNTIME, image="img:2") is False


def test_surplus_of_two_engines_is_removed(pool: Any) -> None:
    pool._create_worker(RUNTIME, "img:1", b"")
    pool._fill(RUNTIME)
    assert pool.get_pool(RUNTIME)["total"] == 2


def test_health_reports_the_reason(manager: Any) -> None:
    assert manager.healthy() is True
    manager.fake.broken = "Cannot connect"
    with pytest.raises(exc.OrchestratorException, match="Cannot connect"):
        manager.healthy()


def test_requests_reach_a_worker_with_its_token(pool: Any) -> None:
    (name,), url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    Worker.seen.clear()
    assert pool.session.get(f"{url}/ping").status_code == 200
    path, headers = Worker.seen[-1]
    assert path == "/worker/127.0.0.1/ping"
    key = spec.key_of(pool._record(RUNTIME))
    assert headers[spec.TOKEN_HEADER] == spec.token(key, name)
    assert not +pool.adapter._busy


def test_a_worker_behind_a_failing_gateway_was_not_reached_and_is_avoided(pool: Any) -> None:
    names, url = pool.scaleup_function("f", 0, identifier=RUNTIME, count=2)
    Worker.answers = [(503, {swarm.GATEWAY_HEADER: "unreachable"})]
    with pytest.raises(transport.NotReached):
        pool.session.get(f"{url}/ping")
    assert set(pool.adapter._avoid) < set(names)
    assert not pool.adapter._cache
    assert pool.session.get(f"{url}/ping").status_code == 200
    assert not +pool.adapter._busy


@pytest.mark.parametrize(("status", "headers"), [(502, {swarm.GATEWAY_HEADER: "broken"}), (503, {}), (504, {})])
def test_responses_after_a_possible_start_count_as_reached(pool: Any, status: int, headers: dict[str, Any]) -> None:
    _unused, url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    Worker.answers = [(status, headers)]
    assert pool.session.get(f"{url}/ping").status_code == status


def test_request_refused_by_another_worker_is_repeated(pool: Any) -> None:
    """Its address now belongs to a worker of another function, which the token distinguishes."""
    _unused, url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    Worker.answers = [(403, {})]
    with pytest.raises(transport.NotReached):
        pool.session.get(f"{url}/ping")
    assert not pool.adapter._cache


def test_unreachable_gateway_is_reported(pool: Any) -> None:
    _unused, url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    pool.adapter._gateway = "http://127.0.0.1:9"
    with pytest.raises(transport.GatewayAway):
        pool.session.get(f"{url}/ping")


def test_holders_are_the_functions_with_workers(pool: Any) -> None:
    assert pool.holders(RUNTIME) == set()
    pool.scaleup_function("f", 0, identifier=RUNTIME)
    pool.scaleup_function("f", 12, identifier=RUNTIME)
    assert pool.holders(RUNTIME) == {("f", 0), ("f", 12)}
    assert pool.holders("other") == set()
    pool.delete_function("f", 0)
    assert pool.holders(RUNTIME) == {("f", 12)}


def test_function_without_workers_gets_a_new_one(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (lost,), url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    known = {lost}

    class Etcd:
        get_service_url = staticmethod(lambda function_id, version=0: url)
        get_workers = staticmethod(lambda function_id, version=0: list(known))
        create_worker = staticmethod(lambda function_id, name, version=0: known.add(name))
        delete_worker = staticmethod(lambda function_id, name, version=0: known.discard(name))

    monkeypatch.setattr(swarm, "etcd_util", Etcd)
    pool.fake.remove(lost)
    assert pool.session.get(f"{url}/ping").status_code == 200
    assert len(known) == 1
    assert lost not in known


def test_released_function_gets_no_worker(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _unused, url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    monkeypatch.setattr(etcd_util, "get_service_url", lambda function_id, version=0: None)
    pool.delete_function("f", 0)
    with pytest.raises(requests.ConnectionError, match="has been released"):
        pool.session.get(f"{url}/ping")
    assert pool.get_pool(RUNTIME) == {"total": 2, "available": 2}


def test_stopped_worker_is_reported_with_its_reason(pool: Any) -> None:
    (name,), url = pool.scaleup_function("f", 0, identifier=RUNTIME)
    pool.fake.state, pool.fake.error = "pending", "no suitable node"
    with pytest.raises(transport.NotReached, match=f"{name}: pending, no suitable node"):
        pool.session.get(f"{url}/ping")


def test_image_functions_without_an_owner_are_removed(manager: Any) -> None:
    limits = spec.Limits(1, 1, 1)
    place = spec.Place("n", manager.instance)
    for name, expires in (("old", 1), ("fresh", 2**40)):
        manager.fake.create(spec.execution_spec(name, "img", [], limits, place, user="1:1", expires=expires))
    manager._clean_up()
    assert [spec.name_of(each) for each in manager.fake.all.values()] == ["fresh"]


@pytest.mark.parametrize(
    ("state", "code", "ran"),
    [("complete", 0, True), ("failed", 3, True), ("rejected", 0, False), ("failed", 0, False)],
)
def test_image_function_that_ends_between_two_polls_has_a_duration(
    manager: Any, monkeypatch: pytest.MonkeyPatch, state: str, code: int, ran: bool
) -> None:
    ended = {"Status": {"State": state, "ContainerStatus": {"ContainerID": "c", "ExitCode": code}}}
    polls = iter([[], [{"Status": {"State": "preparing"}}], [ended]])
    monkeypatch.setattr(swarm, "POLL_SECONDS", 0.05)
    manager.fake.tasks = lambda ids: next(polls)
    # The container is on another host.
    manager.fake.container = lambda ident: None
    manager.fake.logs = lambda ident, most: ""
    manager.fake.all["id0"] = {"ID": "id0", "Version": {"Index": 1}, "Spec": {"Name": "e1"}}
    _unused, result = manager.run_execution("e", "f", 0, identifier="e1", timeout=5)
    assert (0.04 < result["duration"] < 1) is ran
    assert ran or result["duration"] == 0


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:01.5Z", 1.377),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", 60.0),
        ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", None),
        (None, "2026-01-01T00:01:00Z", None),
    ],
)
def test_durations_from_docker(start: str | None, end: str, expected: float | None) -> None:
    assert swarm._between(start, end) == expected

# SPDX-License-Identifier: Apache-2.0
"""The pure functions of the Swarm driver: objects, interpretation of Swarm's state, and selection."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from qinling_kolla.orchestrator import swarm_spec as spec

RUNTIME = "0b5e2e1c-6b4b-4f3a-9a53-3a7f2a0c9d11"
PLACE = spec.Place(network="functions", instance="here", constraints=("node.labels.q==1",))
MIB = 1024 * 1024


def worker(**changes: Any) -> Any:
    given = {"suffix": "0123456789", "key": b"k", "user": "700000001:700000001"}
    limits = spec.worker_limits(300, 128 * MIB, 3)
    return spec.worker_spec(RUNTIME, "img:1", "sha256:0", limits, changes.pop("place", PLACE), **{**given, **changes})


def service(name: Any, state: Any = spec.READY, function: Any = None, ident: Any = None) -> dict[str, Any]:
    labels = {spec.STATE: state, **({spec.FUNCTION: function, spec.VERSION: "0"} if function else {})}
    return {"ID": ident or name, "Spec": {"Name": name, "Labels": labels}}


def task(
    service_id: Any,
    state: Any,
    address: Any = None,
    error: Any = None,
    code: int = 0,
    created: str = "2026-01-01T00:00:00Z",
    desired: str = "running",
) -> dict[str, Any]:
    networks = [{"Network": {"ID": "net1", "Spec": {"Name": "functions"}}, "Addresses": [address]}] if address else []
    status = {"State": state, "Err": error, "ContainerStatus": {"ExitCode": code}}
    return {
        "ServiceID": service_id,
        "Status": status,
        "NetworksAttachments": networks,
        "CreatedAt": created,
        "DesiredState": desired,
    }


def walk(value: Any) -> Iterator[Any]:
    """Yield every mapping in ``value``."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def execution(place: Any = PLACE) -> Any:
    limits = spec.Limits(cpu=250, memory=33554432, pids=10)
    return spec.execution_spec("e1", "img", ["a: b", "--c"], limits, place, user="700000002:700000002", expires=99)


@pytest.mark.parametrize("service", [worker(), execution()], ids=["worker", "execution"])
def test_every_task_is_confined(service: Any) -> None:
    container = service["TaskTemplate"]["ContainerSpec"]
    assert container["ReadOnly"] is True
    assert container["Init"] is True
    assert container["CapabilityDrop"] == ["ALL"]
    assert "CapabilityAdd" not in container
    assert int(container["User"].split(":")[0]) >= spec.FIRST_USER
    assert service["TaskTemplate"]["Networks"] == [{"Target": "functions"}]
    assert service["EndpointSpec"] == {"Mode": "dnsrr"}
    assert service["TaskTemplate"]["Resources"]["Limits"]["Pids"] > 0
    assert service["TaskTemplate"]["Placement"]["Constraints"] == ["node.labels.q==1"]
    assert {mount["Type"] for mount in container["Mounts"]} <= {"tmpfs", "volume"}
    # A volume with a source would outlive its task, or be a directory of the host.
    assert not [each for each in walk(service) if "Source" in each]
    for labels in (service["Labels"], container["Labels"]):
        assert (labels[spec.MANAGED], labels[spec.INSTANCE]) == ("true", "here")


def test_new_privileges_are_forbidden_if_the_api_supports_it() -> None:
    assert "Privileges" not in worker()["TaskTemplate"]["ContainerSpec"]
    service = worker(place=spec.Place("functions", "here", no_new_privileges=True))
    assert service["TaskTemplate"]["ContainerSpec"]["Privileges"] == {"NoNewPrivileges": True}


@pytest.mark.parametrize("internal", [True, False])
def test_external_names_cannot_be_resolved_on_an_internal_network(internal: bool) -> None:
    service = worker(place=spec.Place("functions", "here", internal=internal))
    assert ("DNSConfig" in service["TaskTemplate"]["ContainerSpec"]) is internal


def test_a_worker_gets_the_hash_of_its_token_only() -> None:
    service = worker()
    token = spec.token(b"k", service["Name"])
    assert service["TaskTemplate"]["ContainerSpec"]["Env"] == [
        f"{spec.TOKEN_VARIABLE}={hashlib.sha256(token.encode()).hexdigest()}"
    ]
    assert token not in json.dumps(service)
    assert token != spec.token(b"k", "another-worker") != spec.token(b"other", "another-worker")


def test_a_worker_is_idle_until_it_is_claimed() -> None:
    service = {"ID": "1", "Spec": worker()}
    assert spec.is_idle(service)
    claimed = spec.relabelled(service, spec.function_labels("f", 2))
    assert claimed["TaskTemplate"] == service["Spec"]["TaskTemplate"]
    assert not spec.is_idle({"ID": "1", "Spec": claimed})
    assert spec.belongs_to_pool({"ID": "1", "Spec": claimed})
    assert (claimed["Labels"][spec.FUNCTION], claimed["Labels"][spec.VERSION]) == ("f", "2")
    assert len(service["Spec"]["Name"]) <= 63


@pytest.mark.parametrize(
    ("cpu", "memory", "concurrency", "expected"),
    [
        (300, 128 * MIB, 3, (900, 896 * MIB)),
        (300, 128 * MIB, 0, (300, 640 * MIB)),
        (1000, 1024 * MIB, 1, (1000, 1536 * MIB)),
    ],
)
def test_worker_limits(cpu: int, memory: Any, concurrency: int, expected: tuple[int, Any]) -> None:
    limits = spec.worker_limits(cpu, memory, concurrency)
    assert (limits.cpu, limits.memory) == expected


def test_an_image_function_has_exactly_its_limits_and_runs_once() -> None:
    service = execution()
    assert service["TaskTemplate"]["Resources"]["Limits"] == {
        "NanoCPUs": 250000000,
        "MemoryBytes": 33554432,
        "Pids": 10,
    }
    assert service["TaskTemplate"]["RestartPolicy"] == {"Condition": "none"}
    assert service["TaskTemplate"]["ContainerSpec"]["Args"] == ["a: b", "--c"]
    assert "Command" not in service["TaskTemplate"]["ContainerSpec"]
    assert service["Labels"][spec.EXPIRES] == "99"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ({}, []),
        ("", []),
        ({"__function_input": "one  two\nthree"}, ["one", "two", "three"]),
        ({"__function_input": ""}, []),
        ('["a", "b c"]', ["a", "b c"]),
        (["a", 1, {"b": None}], ["a", "1", '{"b": null}']),
        ({"__function_input": '"\nprivileged: true'}, ['"', "privileged:", "true"]),
    ],
)
def test_arguments(given: Any, expected: list[Any]) -> None:
    assert spec.arguments(given) == expected


@pytest.mark.parametrize("given", [{"name": "x"}, "no json", '{"a": 1}', 7])
def test_arguments_of_another_kind_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="expected text or a JSON list"):
        spec.arguments(given)


@pytest.mark.parametrize("value", ["", "-a", "a-", "a b", "a\nb", "a=b", "a/b", "x" * 64, "ä", "a\n"])
def test_identifiers_that_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="Invalid runtime ID"):
        spec.identifier(value, "runtime ID")


def test_urls() -> None:
    url = spec.url("11-22", 3, RUNTIME)
    assert url == f"swarm://11-22-3/{RUNTIME}"
    assert spec.parse_url(f"{url}/execute") == ("11-22", "3", RUNTIME, "execute")
    assert spec.parse_url(f"{url}/ping") == ("11-22", "3", RUNTIME, "ping")


@pytest.mark.parametrize(
    "url", ["http://a-0/b/ping", "swarm://a-0/b", "swarm://a/b/ping", "swarm://a-0/b/../x", "swarm://"]
)
def test_invalid_urls(url: str) -> None:
    with pytest.raises(ValueError, match="is not the address"):
        spec.parse_url(url)


@pytest.mark.parametrize(
    ("network", "addresses", "expected"),
    [
        ("functions", ["10.0.1.5/24"], "10.0.1.5"),
        ("net1", ["10.0.1.5/24"], "10.0.1.5"),
        ("functions", ["fd00::5/64", "10.0.1.6/24"], "10.0.1.6"),
        ("functions", [], None),
        ("other", ["10.0.1.5/24"], None),
    ],
)
def test_address_of(network: str, addresses: list[Any], expected: str | None) -> None:
    attached = [{"Network": {"ID": "net1", "Spec": {"Name": "functions"}}, "Addresses": addresses}]
    assert spec.address_of({"NetworksAttachments": attached}, network) == expected


def test_workers_run_and_have_an_address() -> None:
    services = [service(name) for name in ("runs", "starts", "addressless", "shutting", "restarted", "taskless")]
    tasks = [
        task("runs", "running", "10.0.1.5/24"),
        task("starts", "preparing", "10.0.1.6/24"),
        task("addressless", "running"),
        task("shutting", "running", "10.0.1.7/24", desired="shutdown"),
        task("restarted", "failed", "10.0.1.8/24"),
        task("restarted", "running", "10.0.1.9/24", created="2026-01-02T00:00:00Z"),
    ]
    found = spec.workers(services, tasks, "functions")
    assert [(each.name, each.address) for each in found] == [("runs", "10.0.1.5"), ("restarted", "10.0.1.9")]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], "w: not scheduled yet"),
        ([task("w", "running")], ""),
        ([task("w", "pending", error="no suitable node")], "w: pending, no suitable node"),
        ([task("w", "rejected", error="No such image: x")], "w: rejected, No such image: x"),
        ([task("w", "failed", error="task: non-zero exit (3)", code=3)], "w: failed, task: non-zero exit (3)"),
        ([task("w", "complete", code=0)], "w: complete, the container ended"),
        (
            [task("w", "failed", code=2), task("w", "starting", created="2026-01-02T00:00:00Z")],
            "w: starting, the container ended (exit status 2)",
        ),
    ],
)
def test_why_not_running(tasks: list[Any], expected: str) -> None:
    assert spec.why_not_running([service("w")], tasks) == expected


def test_failures_are_counted_for_each_worker() -> None:
    assert spec.failures([]) == 0
    assert spec.failures([task("a", "failed"), task("b", "failed"), task("b", "rejected"), task("b", "running")]) == 2


@pytest.mark.parametrize(
    ("busy", "avoid", "roll", "expected"),
    [
        ({}, (), 0.0, "a"),
        ({}, (), 0.5, "b"),
        ({}, (), 0.99, "c"),
        ({"a": 1, "b": 1}, (), 0.0, "c"),
        ({"a": 2, "b": 1, "c": 3}, (), 0.9, "b"),
        ({"a": 2, "b": 1, "c": 3}, ("b",), 0.0, "a"),
        ({}, ("a", "b", "c"), 0.0, "a"),
    ],
)
def test_choose(busy: dict[str, Any], avoid: Any, roll: float, expected: str) -> None:
    candidates = [spec.Worker(name, "10.0.0.1") for name in "abc"]
    assert spec.choose(candidates, busy, avoid, roll).name == expected


@pytest.mark.parametrize(
    ("replicas", "expected"), [(4, []), (3, ["idle-1"]), (2, ["idle-1", "idle-2"]), (0, ["idle-1", "idle-2"])]
)
def test_surplus_contains_only_idle_workers(replicas: int, expected: list[Any]) -> None:
    services = [
        service("idle-2"),
        service("idle-1"),
        service("claimed-1", function="f"),
        service("claimed-2", function="g"),
        service("leaving", state=spec.LEAVING),
        service("on-trial", state=spec.NEW),
    ]
    assert [spec.name_of(each) for each in spec.surplus(services, replicas)] == expected


def test_pool_records_do_not_collide_and_keep_their_key() -> None:
    name, content, labels = spec.pool_record(RUNTIME, "img:1", "here", b"secret")
    assert len(name) <= 64
    assert name != spec.pool_record(RUNTIME, "img:1", "there", b"secret")[0]
    assert "secret" not in f"{name}{labels}"
    assert spec.key_of({"Spec": {"Data": base64.b64encode(content).decode()}}) == b"secret"


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ("http://127.0.0.1:7071", "http://127.0.0.1:7071/worker/10.0.1.5/execute"),
        ("http://gateway/", "http://gateway/worker/10.0.1.5/execute"),
        ("", "http://10.0.1.5:9090/execute"),
    ],
)
def test_worker_address(gateway: str, expected: str) -> None:
    assert spec.worker_address(spec.Worker("w", "10.0.1.5"), "execute", gateway) == expected

# SPDX-License-Identifier: Apache-2.0
"""The comparison of a host with its desired state, with a fake Docker."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import (
    DesiredFile,
    DirectoryError,
    reconcile,
)
from ansible_collections.qinling.kolla.plugins.module_utils._docker import container_digest, ownership
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._plan import host_plan

FILES = {"api": [DesiredFile("api.conf", 0o600, b"a = 1\n")]}
API = {"container_name": "x_api", "image": "i:1", "groups": [container_digest.SOCKET_GROUP]}
ENGINE = {"container_name": "x_engine", "image": "i:1"}
SETTINGS = {"healthchecks": False}
FACTS = {"absent_mounts": ["/a:/a:ro"], "docker_socket_group": 7}
MANAGED = {"qinling.kolla/managed": "true"}


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_plan, "host_facts", lambda: FACTS)


class Docker:
    """A fake Docker."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.available = True
        self.volumes: dict[str, dict[str, str] | None] = {"x_data": None, "other": None}
        self.networks: dict[str, dict[str, str]] = {"bridge": {}, "x_functions": MANAGED}
        # By kind: labels by name.
        self.swarm: dict[str, dict[str, str]] = {}
        # Messages of errors by the first part of the URL.
        self.errors: dict[str, str] = {}
        self.images = {"i:1"}

    def run(self, service: dict[str, Any], state: str = "running", definition: str = "") -> None:
        """Create a container; `definition` is the label with the digest of its definition."""
        self.containers[service["container_name"]] = {
            "Names": [f"/{service['container_name']}"],
            "Image": service["image"],
            "State": state,
            "Status": "Up",
            "Labels": {**MANAGED, container_digest.LABEL: definition},
        }

    def get(self, url: str) -> tuple[int, Any]:
        if not self.available:
            raise DockerUnreachableError("the socket does not exist")
        if message := self.errors.get(url.split("?")[0].split("/")[1]):
            return 503, {"message": message}
        kind, _mark, filters = url.removeprefix("/").partition("?filters=")
        if filters:
            labels = json.loads(unquote(filters))["label"]
            return 200, [
                {"Spec": {"Name": name}} for name, label in self.swarm.get(kind, {}).items() if label in labels
            ]
        if url.startswith("/images/"):
            image = unquote(url.removeprefix("/images/").removesuffix("/json"))
            return (200, {}) if image in self.images else (404, {})
        answers: dict[str, Any] = {
            "/containers/json?all=1": list(self.containers.values()),
            "/volumes": {"Volumes": [{"Name": name, "Labels": labels} for name, labels in self.volumes.items()]},
            "/info": {"Swarm": {"LocalNodeState": "inactive"}},
            "/networks": [{"Name": name, "Labels": labels} for name, labels in self.networks.items()],
        }
        return 200, answers[url]


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    fake = Docker()
    monkeypatch.setattr(DockerApi, "get", lambda _self, url: fake.get(url))
    return fake


@pytest.fixture
def request_(tmp_path: Path) -> host_plan.Request:
    return host_plan.Request(
        root=tmp_path / "etc",
        owner=(os.getuid(), os.getgid()),
        projects={"qinling": {"api": API, "engine": ENGINE}},
        local=["api"],
        deployment="/etc/b",
        claims={
            "qinling": {
                "container": ["x_api", "x_engine", "x_bootstrap"],
                "volume": ["x_data", "x_logs"],
                "network": ["x_functions"],
            }
        },
        files=FILES,
        settings=SETTINGS,
    )


def written(request: host_plan.Request) -> host_plan.Request:
    reconcile(request.root, dict(request.files or {}), [], *request.owner, check=False)
    return request


def deployed(docker: Docker, request: host_plan.Request, state: str = "running") -> host_plan.Request:
    """Write the files, and create the container with the definition in the plan's result, as the role service does."""
    docker.run(API, state, host_plan.plan(written(request))["definitions"]["api"])
    return request


def test_host_in_the_desired_state_has_no_differences(docker: Docker, request_: host_plan.Request) -> None:
    answer = host_plan.plan(deployed(docker, request_))
    assert answer["differences"] == {"qinling": {"files": [], "containers": [], "running": ["x_api"], "volumes": []}}
    assert answer["unchanged"] == answer["up_to_date"] == ["api"]
    assert answer["orphaned"] == answer["findings"] == []
    assert (answer["absent_mounts"], answer["docker_socket_group"]) == (["/a:/a:ro"], 7)


def test_empty_host_differs_in_files_and_containers(docker: Docker, request_: host_plan.Request) -> None:
    answer = host_plan.plan(request_)
    assert answer["differences"]["qinling"]["containers"] == ["x_api"]
    assert str(request_.root / "api/api.conf") in answer["differences"]["qinling"]["files"]
    assert answer["unchanged"] == answer["up_to_date"] == []
    assert not request_.root.exists()


def test_absent_images_are_those_of_local_services(docker: Docker, request_: host_plan.Request) -> None:
    assert host_plan.plan(request_)["absent_images"] == []
    docker.images.clear()
    # Not the image of the engine, which runs on another host.
    assert host_plan.plan(replace(request_, projects={"qinling": {"api": API, "engine": {**ENGINE, "image": "i:2"}}}))[
        "absent_images"
    ] == ["i:1"]


@pytest.mark.parametrize(
    ("daemon", "expected"),
    [
        ("", {"iptables": True, "userland-proxy": True}),
        ("not JSON", {"iptables": True, "userland-proxy": True}),
        ("[]", {"iptables": True, "userland-proxy": True}),
        ('{"bridge": "none", "ip-forward": false, "iptables": false}', {"iptables": False, "userland-proxy": True}),
        ('{"userland-proxy": false, "log-level": "info"}', {"iptables": True, "userland-proxy": False}),
    ],
)
def test_engine_facts_include_swarm_and_daemon_switches(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: str, expected: dict[str, bool]
) -> None:
    monkeypatch.setattr(host_plan, "DAEMON", tmp_path / "daemon.json")
    if daemon:
        (tmp_path / "daemon.json").write_text(daemon)
    facts = host_plan.engine_facts(DockerApi("socket"))
    assert facts == {"swarm": {"LocalNodeState": "inactive"}, "switches": expected}


def with_api(**keys: Any) -> dict[str, Any]:
    """Return the part of a request with other keys of the service api."""
    return {"projects": {"qinling": {"api": {**API, **keys}, "engine": ENGINE}}}


@pytest.mark.parametrize(
    ("changed", "changed_facts", "is_unchanged"),
    [
        (with_api(image="i:2"), {}, False),
        (with_api(groups=[]), {}, False),
        (with_api(groups=["7"]), {}, True),
        ({"settings": {**SETTINGS, "restart_policy": "no"}}, {}, False),
        ({"files": {"api": [DesiredFile("api.conf", 0o600, b"a = 2\n")]}}, {}, False),
        ({}, {"docker_socket_group": 8}, False),
        ({}, {"absent_mounts": []}, False),
    ],
    ids=["image", "groups", "number of the socket's group", "settings", "files", "socket's group", "mounts"],
)
def test_changed_definition_is_a_difference(
    changed: dict[str, Any],
    changed_facts: dict[str, Any],
    is_unchanged: bool,
    docker: Docker,
    request_: host_plan.Request,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = deployed(docker, request_)
    monkeypatch.setattr(host_plan, "host_facts", lambda: {**FACTS, **changed_facts})
    answer = host_plan.plan(replace(request, **changed))
    assert answer["differences"]["qinling"]["containers"] == ([] if is_unchanged else ["x_api"])
    assert answer["unchanged"] == answer["up_to_date"] == (["api"] if is_unchanged else [])


def test_stopped_container_is_unchanged_but_not_up_to_date(docker: Docker, request_: host_plan.Request) -> None:
    answer = host_plan.plan(deployed(docker, request_, "exited"))
    assert (answer["unchanged"], answer["up_to_date"]) == (["api"], [])
    assert answer["differences"]["qinling"]["containers"] == ["x_api"]


def test_container_of_another_host_is_orphaned(docker: Docker, request_: host_plan.Request) -> None:
    request = deployed(docker, request_)
    docker.run(ENGINE)
    answer = host_plan.plan(request)
    assert answer["differences"]["qinling"]["containers"] == ["x_engine"]
    assert answer["orphaned"] == ["x_engine"]


def test_foreign_container_is_not_orphaned(docker: Docker, request_: host_plan.Request) -> None:
    """The container has the name of a service that runs on other hosts."""
    request = deployed(docker, request_)
    docker.run(ENGINE)
    docker.containers["x_engine"]["Labels"] = {"their": "label"}
    answer = host_plan.plan(request)
    assert (answer["differences"]["qinling"]["containers"], answer["orphaned"]) == ([], [])


def test_backups_of_an_interrupted_run_are_reported(docker: Docker, request_: host_plan.Request) -> None:
    request = deployed(docker, request_)
    copies = [request_.root / name for name in (".backup-api", ".backup-engine.unfinished")]
    assert host_plan.plan(request)["backups"] == []
    for copy in copies:
        copy.mkdir()
    answer = host_plan.plan(request)
    assert answer["differences"]["qinling"]["containers"] == answer["backups"] == [str(copy) for copy in copies]
    docker.run({**API, "container_name": "x_api_backup"})
    # A container of the operator may have the name of a backup.
    assert host_plan.plan(request)["backups"] == [str(copy) for copy in copies]
    docker.containers["x_api_backup"]["Labels"]["qinling.kolla/service"] = "api"
    assert host_plan.plan(request)["backups"][0] == "x_api_backup"
    assert host_plan.plan(request)["existing"] == ["x_api"]


@pytest.fixture
def bare(request_: host_plan.Request) -> host_plan.Request:
    """Return the request of destroy."""
    volumes = ["customer_data", "x_data", "x_missing"]
    leftovers = {
        "volumes": volumes,
        "extra_volumes": ["customer_data", "x_missing"],
        "networks": ["x_functions"],
        "paths": [str(request_.root)],
    }
    return replace(request_, files=None, settings=None, leftovers={"qinling": leftovers}, unmanaged=True)


def used(docker: Docker, name: str, *volumes: str, **labels: str) -> None:
    """Add a container that mounts volumes."""
    docker.run({"container_name": name, "image": "i"}, "exited")
    docker.containers[name]["Mounts"] = [{"Type": "volume", "Name": volume} for volume in volumes]
    docker.containers[name]["Labels"] = labels


def test_leftovers_and_running_need_no_files(docker: Docker, bare: host_plan.Request) -> None:
    answer = host_plan.plan(bare)
    found = {"volumes": ["x_data"], "networks": ["x_functions"]}
    assert answer["differences"] == {"qinling": {"running": [], "volumes": [], "leftovers": found}}
    docker.run(ENGINE, "paused")
    again = host_plan.plan(bare)["differences"]["qinling"]
    assert (again["running"], again["leftovers"]["containers"]) == (["x_engine"], ["x_engine"])


def test_leftovers_of_an_interrupted_deploy_are_reported_with_their_users(
    docker: Docker, bare: host_plan.Request
) -> None:
    used(docker, "x_bootstrap", "x_data", **MANAGED)
    docker.volumes["0a1b"] = {ownership.INSTANCE: "x_functions"}
    docker.volumes["2c3d"] = {ownership.INSTANCE: "y_functions"}
    docker.swarm = {
        "services": {"w": f"{ownership.INSTANCE}=x_functions"},
        "configs": {"pool": f"{ownership.INSTANCE}=x_functions", "other": f"{ownership.INSTANCE}=y_functions"},
    }
    bare.root.mkdir()
    answer = host_plan.plan(bare)
    assert answer["findings"] == answer["retained_volumes"] == []
    assert answer["differences"]["qinling"]["leftovers"] == {
        "containers": ["x_bootstrap"],
        "volumes": ["x_data"],
        "networks": ["x_functions"],
        "paths": [str(bare.root)],
        "services": ["w"],
        "configs": ["pool"],
        "worker_volumes": ["0a1b"],
    }
    assert len(answer["leftovers"]) == 7
    assert "volume x_data still exists, used by x_bootstrap; " in answer["leftovers"][1]
    assert answer["leftovers"][6].startswith("Swarm config pool still exists; ")


@pytest.mark.parametrize(
    ("name", "labels", "retained"),
    [
        ("fluentd", {}, ["volume x_data (used by fluentd)"]),
        ("y_api", {**MANAGED, ownership.DEPLOYMENT: "/etc/a"}, ["volume x_data (used by y_api)"]),
        # A service of this deployment that tags exclude, or that is no longer deployed.
        ("x_mariadb", {**MANAGED, ownership.DEPLOYMENT: "/etc/b"}, ["volume x_data (used by x_mariadb)"]),
        ("x_api", MANAGED, []),
        ("x_api", {**MANAGED, ownership.DEPLOYMENT: "/etc/b"}, []),
    ],
)
def test_volume_of_other_containers_is_retained(
    name: str, labels: dict[str, str], retained: list[str], docker: Docker, bare: host_plan.Request
) -> None:
    used(docker, name, "x_data", **labels)
    answer = host_plan.plan(bare)
    assert answer["retained_volumes"] == retained
    assert ("x_data" in answer["differences"]["qinling"]["leftovers"].get("volumes", [])) is (not retained)
    assert bool([text for text in answer["leftovers"] if "volume x_data" in text]) is (not retained)


@pytest.mark.parametrize(
    ("labels", "retained"),
    [
        (None, True),
        ({"backup": "daily"}, True),
        ({**MANAGED, ownership.DEPLOYMENT: "/etc/b"}, False),
    ],
)
def test_extra_volume_of_the_operator_is_retained(
    labels: dict[str, str] | None, retained: bool, docker: Docker, bare: host_plan.Request
) -> None:
    docker.volumes["customer_data"] = labels
    # A container of the deployment uses the volume until destroy removes the container.
    used(docker, "x_api", "customer_data", "x_data", **MANAGED)
    answer = host_plan.plan(bare)
    assert answer["retained_volumes"] == (["volume customer_data (only in *_extra_volumes)"] if retained else [])
    removed = ["x_data"] if retained else ["customer_data", "x_data"]
    assert answer["differences"]["qinling"]["leftovers"]["volumes"] == removed
    assert any("customer_data" in text for text in answer["leftovers"]) is not retained


@pytest.mark.parametrize("action", ["deploy", "destroy"])
def test_objects_of_another_deployment_are_findings_of_every_action(
    action: str, docker: Docker, request_: host_plan.Request, bare: host_plan.Request
) -> None:
    used(docker, "x_api", "x_data", **MANAGED, **{ownership.DEPLOYMENT: "/etc/a"})
    docker.volumes["x_data"] = {ownership.DEPLOYMENT: "/etc/a"}
    found = host_plan.plan(bare if action == "destroy" else written(request_))["findings"]
    assert len(found) == 1
    assert found[0].startswith("container x_api; volume x_data belong to the deployment /etc/a; ")
    assert host_plan.plan(replace(bare, deployment="/etc/a"))["findings"] == []


def test_unmanaged_container_is_a_finding_of_destroy(
    docker: Docker, request_: host_plan.Request, bare: host_plan.Request
) -> None:
    used(docker, "x_api")
    assert "was not created by this collection" in host_plan.plan(bare)["findings"][0]
    # Preflight reports the container in the other case.
    assert host_plan.plan(written(request_))["findings"] == []


@pytest.mark.parametrize("name", ["bridge", "corp_net"])
@pytest.mark.parametrize("action", ["deploy", "destroy"])
def test_unmanaged_network_is_a_finding(
    name: str, action: str, docker: Docker, request_: host_plan.Request, bare: host_plan.Request
) -> None:
    docker.networks["corp_net"] = {"rack": "7"}
    request = bare if action == "destroy" else written(request_)
    claims = {"qinling": {**request.claims["qinling"], "network": [name]}}
    (found,) = host_plan.plan(replace(request, claims=claims))["findings"]
    assert found.startswith(f"network {name}: a network of this name exists and was not created by this collection; ")


def test_first_project_creates_a_shared_volume(docker: Docker, request_: host_plan.Request) -> None:
    claims = {"container": [], "volume": ["x_data", "x_logs", "x_etcd"], "network": []}
    both = replace(
        written(request_),
        projects={"etcd": {}, **request_.projects},
        claims={"etcd": claims, "qinling": claims},
        volumes={"etcd": ["x_etcd", "x_logs"], "qinling": ["x_data", "x_logs"]},
    )
    differences = host_plan.plan(both)["differences"]
    assert (differences["etcd"]["volumes"], differences["qinling"]["volumes"]) == (["x_etcd", "x_logs"], [])


def test_destroy_without_docker_is_a_finding_if_directories_exist(docker: Docker, bare: host_plan.Request) -> None:
    docker.available = False
    assert host_plan.plan(bare)["findings"] == []
    bare.root.mkdir()
    assert "containers and volumes cannot be removed; start Docker" in host_plan.plan(bare)["findings"][0]


@pytest.mark.parametrize(
    ("kind", "message", "actions"),
    [
        ("containers", "daemon is shutting down", {"deploy", "destroy"}),
        ("volumes", "plugin not found", {"deploy", "destroy"}),
        ("networks", "datastore is closed", {"deploy", "destroy"}),
        ("services", "Swarm is encrypted and needs to be unlocked before it can be used.", {"destroy"}),
        ("configs", "This node is not a swarm manager. Worker nodes can't be used to view it.", set()),
    ],
)
@pytest.mark.parametrize("action", ["deploy", "destroy"])
def test_docker_error_is_a_finding(
    action: str,
    kind: str,
    message: str,
    actions: set[str],
    docker: Docker,
    request_: host_plan.Request,
    bare: host_plan.Request,
) -> None:
    docker.errors = {kind: message}
    found = host_plan.plan(bare if action == "destroy" else written(request_))["findings"]
    assert [message in text for text in found] == ([True] if action in actions else [])


def test_unreachable_docker_is_reported(docker: Docker, request_: host_plan.Request) -> None:
    docker.available = False
    options = {"checks": [{"service": "api"}], "force": False, "pull": False, "script": ""}
    host = {"docker": True, **{name: [] for name in ("ports", "images", "containers", "writable", "files", "subnets")}}
    answer = host_plan.plan(replace(request_, options=options, host=host))
    assert answer["differences"]["qinling"]["containers"] == ["x_api"]
    assert "does not answer: the socket does not exist" in answer["options"]["not_validated"]["api"]
    assert "start or install it" in answer["findings"][0]


def test_ports_of_up_to_date_services_are_excluded(docker: Docker, request_: host_plan.Request) -> None:
    ports = [{"of": "api", "port": 1}, {"of": "engine", "port": 2}]
    assert host_plan.exclude_ports({"ports": ports, "images": []}, ["api"]) == {"ports": ports[1:], "images": []}


def test_unsafe_directory_raises_an_error(docker: Docker, request_: host_plan.Request) -> None:
    request_.root.mkdir()
    (request_.root / "api").symlink_to("/")
    with pytest.raises(DirectoryError, match="is a link or a file; expected a directory"):
        host_plan.plan(request_)


@pytest.mark.parametrize(
    ("requirement", "state", "known", "unmet"),
    [
        ({"container": "proxy"}, "running", True, False),
        ({"container": "proxy"}, "exited", True, True),
        ({"container": "other"}, "running", True, True),
        # Docker does not answer, which is a separate finding.
        ({"container": "other"}, "running", False, False),
        ({"directory": "/etc"}, "running", True, False),
        ({"directory": "/etc/passwd"}, "running", True, True),
        ({"directory": "/nowhere"}, "running", False, True),
    ],
)
def test_unmet_requirements(requirement: dict[str, str], state: str, known: bool, unmet: bool) -> None:
    item = {**requirement, "message": "advice"}
    desired = host_plan.Request(Path("/etc/kolla"), (0, 0), {}, [], requirements={"a": [item], "b": []})
    found = host_plan.Found([{"Names": ["/proxy"], "State": state}], known=known)
    assert host_plan.unmet_requirements(desired, found) == {"a": [item] if unmet else [], "b": []}

# SPDX-License-Identifier: Apache-2.0
"""What one look at a host tells, with a Docker that lives in a dictionary."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import (
    TreeError,
    WantedFile,
    digest,
    reconcile,
)
from ansible_collections.qinling.kolla.plugins.module_utils._docker import container_digest, ownership
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._plan import host_plan

FILES = {"api": [WantedFile("api.conf", 0o600, b"a = 1\n")]}
API = {"container_name": "x_api", "image": "i:1", "groups": [container_digest.SOCKET_GROUP]}
ENGINE = {"container_name": "x_engine", "image": "i:1"}
SETTINGS = {"healthchecks": False}
MANAGED = {"qinling.kolla/managed": "true"}


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_plan, "host_facts", lambda: {"absent_mounts": ["/a:/a:ro"], "docker_socket_group": 7})


class Docker:
    """A Docker with containers that were made from what was wanted then."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.there = True
        self.volumes: dict[str, dict[str, str] | None] = {"x_data": None, "other": None}
        self.networks: dict[str, dict[str, str]] = {"bridge": {}, "x_functions": MANAGED}
        # By kind: names, and the label of each.
        self.swarm: dict[str, dict[str, str]] = {}
        # Messages of errors by the first part of the URL.
        self.errors: dict[str, str] = {}
        self.images = {"i:1"}

    def run(self, service: dict[str, Any], state: str = "running", settings: dict[str, Any] = SETTINGS) -> None:
        """Makes a container as the role service does."""
        made = {**service, "groups": ["7"]} if "groups" in service else service
        whole = {**settings, "absent_mounts": ["/a:/a:ro"]}
        label = container_digest.definition_of(made, digest(FILES["api"]), whole)
        self.containers[service["container_name"]] = {
            "Names": [f"/{service['container_name']}"],
            "Image": service["image"],
            "State": state,
            "Status": "Up",
            "Labels": {**MANAGED, container_digest.LABEL: label},
        }

    def get(self, url: str) -> tuple[int, Any]:
        if not self.there:
            raise DockerUnreachableError("there is no such socket")
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


def test_a_host_on_which_nothing_is_to_be_done(docker: Docker, request_: host_plan.Request) -> None:
    docker.run(API)
    answer = host_plan.plan(written(request_))
    assert answer["differences"] == {"qinling": {"files": [], "containers": [], "running": ["x_api"], "volumes": []}}
    assert answer["unchanged"] == answer["up_to_date"] == ["api"]
    assert answer["orphaned"] == answer["findings"] == []
    assert (answer["absent_mounts"], answer["docker_socket_group"]) == (["/a:/a:ro"], 7)


def test_a_host_on_which_there_is_nothing_yet(docker: Docker, request_: host_plan.Request) -> None:
    answer = host_plan.plan(request_)
    assert answer["differences"]["qinling"]["containers"] == ["x_api"]
    assert str(request_.root / "api/api.conf") in answer["differences"]["qinling"]["files"]
    assert answer["unchanged"] == answer["up_to_date"] == []
    assert not request_.root.exists()


def test_images_that_the_host_lacks(docker: Docker, request_: host_plan.Request) -> None:
    assert host_plan.plan(request_)["absent_images"] == []
    docker.images.clear()
    # Not that of the engine, which belongs on another host.
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
def test_what_docker_says_of_itself(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: str, expected: dict[str, bool]
) -> None:
    monkeypatch.setattr(host_plan, "DAEMON", tmp_path / "daemon.json")
    if daemon:
        (tmp_path / "daemon.json").write_text(daemon)
    facts = host_plan.engine_facts(DockerApi("socket"))
    assert facts == {"swarm": {"LocalNodeState": "inactive"}, "switches": expected}


@pytest.mark.parametrize(
    ("made", "state", "settings"),
    [
        ({**API, "image": "i:0"}, "running", SETTINGS),
        (API, "exited", SETTINGS),
        (API, "running", {"healthchecks": True}),
        ({**API, "groups": []}, "running", SETTINGS),
    ],
    ids=["another image", "it does not run", "other settings", "without the socket's group"],
)
def test_a_container_that_is_not_as_wanted(
    made: dict[str, Any], state: str, settings: dict[str, Any], docker: Docker, request_: host_plan.Request
) -> None:
    docker.run(made, state, settings)
    if not made["groups"]:
        del docker.containers["x_api"]["Labels"][container_digest.LABEL]
    answer = host_plan.plan(written(request_))
    assert (answer["differences"]["qinling"]["containers"], answer["up_to_date"]) == (["x_api"], [])


def test_what_does_not_belong_here_is_told(docker: Docker, request_: host_plan.Request) -> None:
    docker.run(API)
    docker.run(ENGINE)
    answer = host_plan.plan(written(request_))
    assert answer["differences"]["qinling"]["containers"] == ["x_engine"]
    assert answer["orphaned"] == ["x_engine"]


def test_a_container_of_others_is_no_orphan(docker: Docker, request_: host_plan.Request) -> None:
    """It has the name of a service that runs on other hosts."""
    docker.run(API)
    docker.run(ENGINE)
    docker.containers["x_engine"]["Labels"] = {"their": "label"}
    answer = host_plan.plan(written(request_))
    assert (answer["differences"]["qinling"]["containers"], answer["orphaned"]) == ([], [])


def test_backups_of_an_interrupted_run_are_reported(docker: Docker, request_: host_plan.Request) -> None:
    docker.run(API)
    copies = [request_.root / name for name in (".backup-api", ".backup-engine.unfinished")]
    request = written(request_)
    assert host_plan.plan(request)["backups"] == []
    for copy in copies:
        copy.mkdir()
    answer = host_plan.plan(request)
    assert answer["differences"]["qinling"]["containers"] == answer["backups"] == [str(copy) for copy in copies]
    docker.run({**API, "container_name": "x_api_backup"})
    # A name proves nothing: a container of the operator may have it.
    assert host_plan.plan(request)["backups"] == [str(copy) for copy in copies]
    docker.containers["x_api_backup"]["Labels"]["qinling.kolla/service"] = "api"
    assert host_plan.plan(request)["backups"][0] == "x_api_backup"
    assert host_plan.plan(request)["existing"] == ["x_api"]


@pytest.fixture
def bare(request_: host_plan.Request) -> host_plan.Request:
    """What destroy asks."""
    volumes = ["customer_data", "x_data", "x_gone"]
    leftovers = {
        "volumes": volumes,
        "extra_volumes": ["customer_data", "x_gone"],
        "networks": ["x_functions"],
        "paths": [str(request_.root)],
    }
    return replace(request_, files=None, settings=None, leftovers={"qinling": leftovers}, unmanaged=True)


def used(docker: Docker, name: str, *volumes: str, **labels: str) -> None:
    """Add a container that mounts volumes."""
    docker.run({"container_name": name, "image": "i"}, "exited")
    docker.containers[name]["Mounts"] = [{"Type": "volume", "Name": volume} for volume in volumes]
    docker.containers[name]["Labels"] = labels


def test_remains_and_what_runs_want_no_files(docker: Docker, bare: host_plan.Request) -> None:
    answer = host_plan.plan(bare)
    found = {"volumes": ["x_data"], "networks": ["x_functions"]}
    assert answer["differences"] == {"qinling": {"running": [], "volumes": [], "leftovers": found}}
    docker.run(ENGINE, "paused")
    again = host_plan.plan(bare)["differences"]["qinling"]
    assert (again["running"], again["leftovers"]["containers"]) == (["x_engine"], ["x_engine"])


def test_remains_of_an_interrupted_deploy_are_named_with_their_users(docker: Docker, bare: host_plan.Request) -> None:
    used(docker, "x_bootstrap", "x_data", **MANAGED)
    docker.volumes["0a1b"] = {ownership.INSTANCE: "x_functions"}
    docker.volumes["2c3d"] = {ownership.INSTANCE: "y_functions"}
    docker.swarm = {
        "services": {"w": f"{ownership.INSTANCE}=x_functions"},
        "configs": {"pool": f"{ownership.INSTANCE}=x_functions", "other": f"{ownership.INSTANCE}=y_functions"},
    }
    bare.root.mkdir()
    answer = host_plan.plan(bare)
    assert answer["findings"] == answer["kept"] == []
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
    assert "volume x_data is left, used by x_bootstrap; " in answer["leftovers"][1]
    assert answer["leftovers"][6].startswith("Swarm config pool is left; ")


@pytest.mark.parametrize(
    ("name", "labels", "spared"),
    [
        ("fluentd", {}, ["volume x_data (used by fluentd)"]),
        ("y_api", {**MANAGED, ownership.DEPLOYMENT: "/etc/a"}, ["volume x_data (used by y_api)"]),
        # A service of this deployment that tags left out, or that is not deployed any longer.
        ("x_mariadb", {**MANAGED, ownership.DEPLOYMENT: "/etc/b"}, ["volume x_data (used by x_mariadb)"]),
        ("x_api", MANAGED, []),
        ("x_api", {**MANAGED, ownership.DEPLOYMENT: "/etc/b"}, []),
    ],
)
def test_a_volume_that_others_use_is_spared(
    name: str, labels: dict[str, str], spared: list[str], docker: Docker, bare: host_plan.Request
) -> None:
    used(docker, name, "x_data", **labels)
    answer = host_plan.plan(bare)
    assert answer["kept"] == spared
    assert ("x_data" in answer["differences"]["qinling"]["leftovers"].get("volumes", [])) is not spared
    assert bool([text for text in answer["leftovers"] if "volume x_data" in text]) is not spared


@pytest.mark.parametrize(
    ("labels", "spared"),
    [
        (None, True),
        ({"backup": "daily"}, True),
        ({**MANAGED, ownership.DEPLOYMENT: "/etc/b"}, False),
    ],
)
def test_an_extra_volume_of_the_operator_is_spared(
    labels: dict[str, str] | None, spared: bool, docker: Docker, bare: host_plan.Request
) -> None:
    docker.volumes["customer_data"] = labels
    # The deployment's own container uses it until it is removed.
    used(docker, "x_api", "customer_data", "x_data", **MANAGED)
    answer = host_plan.plan(bare)
    assert answer["kept"] == (["volume customer_data (only in *_extra_volumes)"] if spared else [])
    removed = ["x_data"] if spared else ["customer_data", "x_data"]
    assert answer["differences"]["qinling"]["leftovers"]["volumes"] == removed
    assert any("customer_data" in text for text in answer["leftovers"]) is not spared


@pytest.mark.parametrize("look", ["deploy", "destroy"])
def test_what_another_deployment_owns_is_found_whatever_is_looked_at(
    look: str, docker: Docker, request_: host_plan.Request, bare: host_plan.Request
) -> None:
    used(docker, "x_api", "x_data", **MANAGED, **{ownership.DEPLOYMENT: "/etc/a"})
    docker.volumes["x_data"] = {ownership.DEPLOYMENT: "/etc/a"}
    found = host_plan.plan(bare if look == "destroy" else written(request_))["findings"]
    assert len(found) == 1
    assert found[0].startswith("container x_api; volume x_data belong to the deployment of /etc/a, ")
    assert host_plan.plan(replace(bare, deployment="/etc/a"))["findings"] == []


def test_a_container_that_is_nobody_s_is_found_where_it_would_be_removed(
    docker: Docker, request_: host_plan.Request, bare: host_plan.Request
) -> None:
    used(docker, "x_api")
    assert "was not made here" in host_plan.plan(bare)["findings"][0]
    # Elsewhere host_look finds it.
    assert host_plan.plan(written(request_))["findings"] == []


@pytest.mark.parametrize("name", ["bridge", "corp_net"])
@pytest.mark.parametrize("look", ["deploy", "destroy"])
def test_a_network_that_is_nobody_s_is_found(
    name: str, look: str, docker: Docker, request_: host_plan.Request, bare: host_plan.Request
) -> None:
    docker.networks["corp_net"] = {"rack": "7"}
    request = bare if look == "destroy" else written(request_)
    claims = {"qinling": {**request.claims["qinling"], "network": [name]}}
    (found,) = host_plan.plan(replace(request, claims=claims))["findings"]
    assert found.startswith(f"network {name}: one of this name is there already and was not made here; ")


def test_a_volume_is_created_by_the_first_project_that_mounts_it(docker: Docker, request_: host_plan.Request) -> None:
    claims = {"container": [], "volume": ["x_data", "x_logs", "x_etcd"], "network": []}
    both = replace(
        written(request_),
        projects={"etcd": {}, **request_.projects},
        claims={"etcd": claims, "qinling": claims},
        volumes={"etcd": ["x_etcd", "x_logs"], "qinling": ["x_data", "x_logs"]},
    )
    differences = host_plan.plan(both)["differences"]
    assert (differences["etcd"]["volumes"], differences["qinling"]["volumes"]) == (["x_etcd", "x_logs"], [])


def test_nothing_is_removed_where_docker_does_not_answer(docker: Docker, bare: host_plan.Request) -> None:
    docker.there = False
    assert host_plan.plan(bare)["findings"] == []
    bare.root.mkdir()
    assert "containers and volumes cannot be removed; start it" in host_plan.plan(bare)["findings"][0]


@pytest.mark.parametrize(
    ("kind", "message", "looks"),
    [
        ("containers", "daemon is shutting down", {"deploy", "destroy"}),
        ("volumes", "plugin not found", {"deploy", "destroy"}),
        ("networks", "datastore is closed", {"deploy", "destroy"}),
        ("services", "Swarm is encrypted and needs to be unlocked before it can be used.", {"destroy"}),
        ("configs", "This node is not a swarm manager. Worker nodes can't be used to view it.", set()),
    ],
)
@pytest.mark.parametrize("look", ["deploy", "destroy"])
def test_an_error_of_docker_is_a_finding(
    look: str,
    kind: str,
    message: str,
    looks: set[str],
    docker: Docker,
    request_: host_plan.Request,
    bare: host_plan.Request,
) -> None:
    docker.errors = {kind: message}
    found = host_plan.plan(bare if look == "destroy" else written(request_))["findings"]
    assert [message in text for text in found] == ([True] if look in looks else [])


def test_without_docker_everything_is_missing_and_said(docker: Docker, request_: host_plan.Request) -> None:
    docker.there = False
    options = {"checks": [{"service": "api"}], "force": False, "pull": False, "script": ""}
    host = {"docker": True, **{name: [] for name in ("ports", "images", "containers", "writable", "files", "subnets")}}
    answer = host_plan.plan(replace(request_, options=options, host=host))
    assert answer["differences"]["qinling"]["containers"] == ["x_api"]
    assert "does not answer: there is no such socket" in answer["options"]["not_validated"]["api"]
    assert "start or install it" in answer["findings"][0]


def test_a_settled_service_is_not_asked_about_its_own_port(docker: Docker, request_: host_plan.Request) -> None:
    ports = [{"of": "api", "port": 1}, {"of": "engine", "port": 2}]
    assert host_plan.without({"ports": ports, "images": []}, ["api"]) == {"ports": ports[1:], "images": []}


def test_an_unsafe_directory_stops_it(docker: Docker, request_: host_plan.Request) -> None:
    request_.root.mkdir()
    (request_.root / "api").symlink_to("/")
    with pytest.raises(TreeError, match="not a directory of its own"):
        host_plan.plan(request_)


@pytest.mark.parametrize(
    ("requirement", "state", "known", "unmet"),
    [
        ({"container": "proxy"}, "running", True, False),
        ({"container": "proxy"}, "exited", True, True),
        ({"container": "other"}, "running", True, True),
        # Docker does not answer, which is a finding of its own.
        ({"container": "other"}, "running", False, False),
        ({"directory": "/etc"}, "running", True, False),
        ({"directory": "/etc/passwd"}, "running", True, True),
        ({"directory": "/nowhere"}, "running", False, True),
    ],
)
def test_requirements(requirement: dict[str, str], state: str, known: bool, unmet: bool) -> None:
    item = {**requirement, "message": "look"}
    asked = host_plan.Request(Path("/etc/kolla"), (0, 0), {}, [], requirements={"a": [item], "b": []})
    found = host_plan.Found([{"Names": ["/proxy"], "State": state}], known=known)
    assert host_plan.unmet_requirements(asked, found) == {"a": [item] if unmet else [], "b": []}

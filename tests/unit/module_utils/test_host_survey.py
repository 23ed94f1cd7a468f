# SPDX-License-Identifier: Apache-2.0
"""What one look at a host tells, with a Docker that lives in a dictionary."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils import definitions, host_survey
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils.tree import TreeError, WantedFile, digest, reconcile

FILES = {"api": [WantedFile("api.conf", 0o600, b"a = 1\n")]}
API = {"container_name": "x_api", "image": "i:1", "groups": [definitions.SOCKET_GROUP]}
ENGINE = {"container_name": "x_engine", "image": "i:1"}
SETTINGS = {"healthchecks": False}


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_survey, "host_facts", lambda: {"absent_mounts": ["/a:/a:ro"], "docker_socket_group": 7})


class Docker:
    """A Docker with containers that were made from what was wanted then."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.there = True

    def run(self, service: dict[str, Any], state: str = "running", settings: dict[str, Any] = SETTINGS) -> None:
        """Makes a container as the role service does."""
        made = {**service, "groups": ["7"]} if "groups" in service else service
        whole = {**settings, "absent_mounts": ["/a:/a:ro"]}
        label = definitions.definition_of(made, digest(FILES["api"]), whole)
        self.containers[service["container_name"]] = {
            "Names": [f"/{service['container_name']}"],
            "Image": service["image"],
            "State": state,
            "Status": "Up",
            "Labels": {definitions.LABEL: label},
        }

    def get(self, url: str) -> tuple[int, Any]:
        if not self.there:
            raise DockerUnreachableError("there is no such socket")
        answers: dict[str, Any] = {
            "/containers/json?all=1": list(self.containers.values()),
            "/volumes": {"Volumes": [{"Name": "x_data"}, {"Name": "other"}]},
            "/networks": [{"Name": "bridge"}, {"Name": "x_functions"}],
        }
        return 200, answers[url]


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    fake = Docker()
    monkeypatch.setattr(DockerApi, "get", lambda _self, url, headers=None: fake.get(url))
    return fake


@pytest.fixture
def request_(tmp_path: Path) -> host_survey.Request:
    return host_survey.Request(
        root=tmp_path / "etc",
        owner=(os.getuid(), os.getgid()),
        projects={"qinling": {"api": API, "engine": ENGINE}},
        here=["api"],
        files=FILES,
        settings=SETTINGS,
    )


def written(request: host_survey.Request) -> host_survey.Request:
    reconcile(request.root, dict(request.files or {}), [], *request.owner, check=False)
    return request


def test_a_host_on_which_nothing_is_to_be_done(docker: Docker, request_: host_survey.Request) -> None:
    docker.run(API)
    answer = host_survey.survey(written(request_))
    assert answer["missing"] == {"qinling": {"files": [], "containers": [], "running": ["x_api"]}}
    assert (answer["made"], answer["settled"], answer["surplus"], answer["findings"]) == (["api"], ["api"], [], [])
    assert (answer["absent_mounts"], answer["docker_socket_group"]) == (["/a:/a:ro"], 7)


def test_a_host_on_which_there_is_nothing_yet(docker: Docker, request_: host_survey.Request) -> None:
    answer = host_survey.survey(request_)
    assert answer["missing"]["qinling"]["containers"] == ["x_api"]
    assert str(request_.root / "api/api.conf") in answer["missing"]["qinling"]["files"]
    assert answer["made"] == answer["settled"] == []
    assert not request_.root.exists()


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
    made: dict[str, Any], state: str, settings: dict[str, Any], docker: Docker, request_: host_survey.Request
) -> None:
    docker.run(made, state, settings)
    if not made["groups"]:
        del docker.containers["x_api"]["Labels"][definitions.LABEL]
    answer = host_survey.survey(written(request_))
    assert (answer["missing"]["qinling"]["containers"], answer["settled"]) == (["x_api"], [])


def test_what_does_not_belong_here_is_told(docker: Docker, request_: host_survey.Request) -> None:
    docker.run(API)
    docker.run(ENGINE)
    answer = host_survey.survey(written(request_))
    assert answer["missing"]["qinling"]["containers"] == ["x_engine"]
    assert answer["surplus"] == ["x_engine"]


def test_what_an_upgrade_left_aside_is_told(docker: Docker, request_: host_survey.Request, tmp_path: Path) -> None:
    docker.run(API)
    (tmp_path / "kept").mkdir()
    kept = {"qinling": {"containers": ["x_api_before"], "paths": [str(tmp_path / "kept"), str(tmp_path / "none")]}}
    request = replace(written(request_), kept=kept)
    assert host_survey.survey(request)["missing"]["qinling"]["containers"] == [str(tmp_path / "kept")]
    docker.run({**API, "container_name": "x_api_before"})
    assert host_survey.survey(request)["missing"]["qinling"]["containers"][0] == "x_api_before"


def test_remains_and_what_runs_want_no_files(docker: Docker, request_: host_survey.Request) -> None:
    remains = {"volumes": ["x_data", "x_gone"], "networks": ["x_functions"], "paths": [str(request_.root)]}
    bare = replace(request_, files=None, settings=None, remains={"qinling": remains})
    assert host_survey.survey(bare)["missing"] == {"qinling": {"running": [], "remains": ["x_data", "x_functions"]}}
    docker.run(ENGINE, "paused")
    found = host_survey.survey(bare)["missing"]["qinling"]
    assert (found["running"], found["remains"][0]) == (["x_engine"], "x_engine")


def test_without_docker_everything_is_missing_and_said(docker: Docker, request_: host_survey.Request) -> None:
    docker.there = False
    options = {"checks": [{"service": "api"}], "force": False, "pull": False, "script": ""}
    answer = host_survey.survey(replace(request_, options=options, host={"ports": [], "images": ["i:1"]}))
    assert answer["missing"]["qinling"]["containers"] == ["x_api"]
    assert "does not answer: there is no such socket" in answer["options"]["not_validated"]["api"]
    assert "start or install it" in answer["findings"][0]


def test_a_settled_service_is_not_asked_about_its_own_port(docker: Docker, request_: host_survey.Request) -> None:
    ports = [{"of": "api", "port": 1}, {"of": "engine", "port": 2}]
    assert host_survey.without({"ports": ports, "images": []}, ["api"]) == {"ports": ports[1:], "images": []}


def test_an_unsafe_directory_stops_it(docker: Docker, request_: host_survey.Request) -> None:
    request_.root.mkdir()
    (request_.root / "api").symlink_to("/")
    with pytest.raises(TreeError, match="not a directory of its own"):
        host_survey.survey(request_)

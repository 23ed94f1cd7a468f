# SPDX-License-Identifier: Apache-2.0
"""Filters over service dictionaries: where services belong, and what the machinery's modules are handed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.filter.services import FilterModule
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects.projects import (
    checks_of,
    groups_of,
    hosts_of,
    passwords_of,
    passwords_to_generate,
    ports_of,
    projects_of_host,
    projects_of_tags,
    tag_findings,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects.services import (
    backups_of,
    config_json,
    containers_of,
    files_of,
    first_host,
    health_of,
    in_role,
    named_volumes,
    own_volumes,
    rollback_text,
    services_of_host,
    validation_of,
)

PROJECT = Path(__file__).resolve().parents[3]
ROLES = PROJECT / "roles"
API: dict[str, Any] = {
    "container_name": "qinling_api",
    "group": "qinling-api",
    "enabled": True,
    "command": "qinling-api",
    "volumes": ["/etc/kolla/qinling-api/:/c/:ro", "qinling:/var/lib/qinling/", "kolla_logs:/var/log/kolla/", ""],
}
ENGINE: dict[str, Any] = {
    "container_name": "qinling_engine",
    "group": "qinling-engine",
    "command": "qinling-engine",
    "volumes": ["qinling:/var/lib/qinling/"],
    "permissions": [{"path": "/var/lib/qinling", "owner": "qinling:qinling", "recurse": True}],
}
SERVICES = {"qinling-api": API, "qinling-engine": ENGINE}


def with_enabled(value: Any) -> dict[str, dict[str, Any]]:
    return {"qinling-api": {**API, "enabled": value}}


@pytest.mark.parametrize(
    ("services", "group_names", "expected"),
    [
        (SERVICES, ["control", "qinling-api", "qinling-engine"], ["qinling-api", "qinling-engine"]),
        (SERVICES, ["qinling-engine"], ["qinling-engine"]),
        (SERVICES, ["qinling"], []),
        (SERVICES, [], []),
        ({}, ["qinling-api"], []),
        (with_enabled("yes"), ["qinling-api"], ["qinling-api"]),
        (with_enabled("True"), ["qinling-api"], ["qinling-api"]),
        (with_enabled("no"), ["qinling-api"], []),
        (with_enabled("False"), ["qinling-api"], []),
        (with_enabled(False), ["qinling-api"], []),
        (with_enabled(1), ["qinling-api"], ["qinling-api"]),
    ],
)
def test_services_of_host(services: dict[str, Any], group_names: list[str], expected: list[str]) -> None:
    assert list(services_of_host(services, group_names)) == expected


def test_a_switch_that_is_neither_on_nor_off() -> None:
    with pytest.raises(TypeError, match="perhaps"):
        services_of_host(with_enabled("perhaps"), ["qinling-api"])


@pytest.mark.parametrize(
    ("groups", "playing", "expected"),
    [
        ({"qinling-api": ["one", "two"]}, ["two", "one"], "two"),
        ({"qinling-api": ["one", "two"]}, ["two"], "two"),
        ({"qinling-api": [], "qinling-engine": ["three"]}, ["three"], "three"),
        ({"qinling-api": ["two"], "qinling-engine": ["one"]}, ["one", "two"], "two"),
        ({"qinling-engine": ["three"]}, ["one", "three"], "three"),
        ({"qinling-api": ["one"]}, ["two"], ""),
        ({}, ["one"], ""),
    ],
)
def test_first_host(groups: dict[str, list[str]], playing: list[str], expected: str) -> None:
    assert first_host(SERVICES, groups, playing) == expected


def test_hosts_of_roles() -> None:
    roles = [{"name": "etcd", "groups": ["etcd"]}, {"name": "qinling", "groups": ["qinling-api", "qinling-engine"]}]
    groups = {"qinling-api": ["two", "one"], "qinling-engine": ["one"], "compute": ["four"]}
    assert hosts_of(roles, groups) == ["two", "one"]


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        (SERVICES, ["kolla_logs", "qinling"]),
        ({"x": {"volumes": ["/a:/b", ""]}}, []),
        ({"x": {}}, []),
        ({"x": {"volumes": ["data:/b:ro"]}}, ["data"]),
    ],
)
def test_named_volumes(services: dict[str, Any], expected: list[str]) -> None:
    assert named_volumes(services) == expected


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ({}, []),
        ({"x": {"volumes": ["data:/b", "logs:/l", "/etc:/e"]}}, ["data", "logs"]),
        ({"x": {"volumes": ["data:/b", "mine:/m"], "extra_volumes": ["mine:/m"]}}, ["data"]),
        # Mounted at another place as well.
        ({"x": {"volumes": ["logs:/l", "logs:/m"], "extra_volumes": ["logs:/m"]}}, ["logs"]),
        ({"x": {"volumes": ["a:/a"], "extra_volumes": ["a:/a"]}, "y": {"volumes": ["a:/a"]}}, ["a"]),
    ],
)
def test_own_volumes(services: dict[str, Any], expected: list[str]) -> None:
    assert own_volumes(services) == expected


@pytest.mark.parametrize("path", sorted(ROLES.glob("*/defaults/main.yml")), ids=lambda path: path.parts[-3])
def test_services_say_which_of_their_volumes_are_extra(path: Path) -> None:
    defaults = yaml.safe_load(path.read_text(encoding="utf-8"))
    for service in defaults.get(f"{path.parts[-3]}_services", {}).values():
        mounted, extra = (
            re.findall(r"\w+_extra_volumes", str(service.get(key, ""))) for key in ("volumes", "extra_volumes")
        )
        assert mounted == extra


FILES: list[dict[str, Any]] = [
    {"dest": "qinling.conf", "container": {"path": "/etc/qinling/qinling.conf", "owner": "qinling", "perm": "0640"}},
    {"dest": "ca.pem", "container": {"path": "/etc/ca.pem"}},
    {"dest": "only-on-the-host"},
]


def test_config_json_copies_what_has_a_place_in_the_container() -> None:
    assert config_json(API, FILES, "/c") == {
        "command": "qinling-api",
        "config_files": [
            {
                "source": "/c/qinling.conf",
                "dest": "/etc/qinling/qinling.conf",
                "owner": "qinling",
                "perm": "0640",
            },
            {"source": "/c/ca.pem", "dest": "/etc/ca.pem", "owner": "root", "perm": "0600"},
        ],
    }


def test_config_json_with_permissions_and_no_file() -> None:
    content = config_json(ENGINE, [], "/c")
    assert content["config_files"] == []
    assert content["permissions"] == ENGINE["permissions"]


def test_config_json_is_a_file_more_and_has_the_places_in_the_container() -> None:
    wanted = files_of(SERVICES, {"qinling-api": FILES}, "/c", "/roles/qinling")
    assert [file["dest"] for file in wanted["qinling-api"]] == [
        "config.json",
        "qinling.conf",
        "ca.pem",
        "only-on-the-host",
    ]
    assert not [file for file in wanted["qinling-api"] if "container" in file]
    assert wanted["qinling-api"][0]["json"] == config_json(API, FILES, "/c")
    # A service without files of its own has a command all the same.
    assert [file["dest"] for file in wanted["qinling-engine"]] == ["config.json"]


def test_only_local_services_have_files() -> None:
    assert list(files_of({"qinling-engine": ENGINE}, {"qinling-api": FILES}, "/c", "/r")) == ["qinling-engine"]


@pytest.mark.parametrize(
    ("file", "absolute"),
    [
        ({"template": "a.j2"}, {"template": ["/r/templates/a.j2"]}),
        ({"template": ["/o/a.j2", "a.j2"]}, {"template": ["/o/a.j2", "/r/templates/a.j2"]}),
        ({"copy": "a", "mode": "0600"}, {"copy": ["/r/files/a"], "mode": "0600"}),
        ({"copy": ["/o/a"]}, {"copy": ["/o/a"]}),
        (
            {"ini": {"template": "a.j2", "overrides": ["/o/a.conf"]}},
            {"ini": {"template": ["/r/templates/a.j2"], "overrides": ["/o/a.conf"]}},
        ),
        ({"content": "a"}, {"content": "a"}),
    ],
)
def test_relative_paths_are_in_the_role(file: dict[str, Any], absolute: dict[str, Any]) -> None:
    assert in_role(file, "/r") == absolute


def test_groups_of() -> None:
    assert groups_of([{"name": "etcd", "groups": ["etcd"]}, {"name": "qinling", "groups": ["qinling-api"]}]) == [
        {"group": "etcd", "service": "etcd"},
        {"group": "qinling-api", "service": "qinling"},
    ]


def port(number: int | str, service: str = "qinling-api") -> dict[str, Any]:
    return {"name": "qinling_api_port", "address": "127.0.0.1", "port": number, "service": service}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([port(7070)], [7070]),
        ([port("7070")], [7070]),
        ([port(0)], []),
        ([port("0"), port(7071)], [7071]),
        ([port(7070, "etcd")], []),
        ([], []),
    ],
)
def test_ports_of_services_that_are_here(wanted: list[dict[str, Any]], expected: list[int]) -> None:
    assert [entry["port"] for entry in ports_of(wanted, SERVICES)] == expected


def test_a_port_names_its_variable_and_the_container_that_may_hold_it() -> None:
    assert ports_of([port(7070)], SERVICES) == [
        {
            "port": 7070,
            "address": "127.0.0.1",
            "service": "qinling-api (qinling_api_port)",
            "of": "qinling-api",
            "containers": ["qinling_api"],
        }
    ]


ROLES = [{"name": "etcd", "groups": ["etcd"]}, {"name": "qinling", "groups": ["qinling-api", "qinling-engine"]}]


@pytest.mark.parametrize(
    ("group_names", "expected"),
    [
        (["etcd", "qinling-engine"], ["etcd", "qinling"]),
        (["qinling-api"], ["qinling"]),
        (["compute"], []),
        ([], []),
    ],
)
def test_projects_of_host(group_names: list[str], expected: list[str]) -> None:
    assert [role["name"] for role in projects_of_host(ROLES, group_names)] == expected


PASSWORDS = [
    {"name": "etcd"},
    {"name": "mariadb", "passwords": ["a"]},
    {"name": "qinling", "passwords": ["a", "b"]},
]


@pytest.mark.parametrize(
    ("enabled", "needed", "generated"),
    [
        (["mariadb"], ["a"], ["a"]),
        (["qinling"], ["a", "b"], ["b"]),
        (["mariadb", "qinling"], ["a", "b"], ["a", "b"]),
        (["etcd"], [], []),
        ([], [], []),
    ],
)
def test_passwords_are_needed_by_projects_and_generated_for_the_first(
    enabled: list[str], needed: list[str], generated: list[str]
) -> None:
    assert passwords_of([project for project in PASSWORDS if project["name"] in enabled]) == needed
    assert passwords_to_generate(PASSWORDS, enabled) == generated


def test_files_with_options_of_oslo_are_validated_in_their_services_image() -> None:
    here = {
        "api": {"image": "kolla/api:1", "container_name": "qinling_api", "volumes": ["/host:/mounted:ro", "", "/odd"]},
        "relay": {"image": "kolla/relay:1", "container_name": "qinling_relay"},
    }
    files = {
        "api": [
            {"dest": "qinling.conf", "oslo": True, "container": {"path": "/etc/qinling/qinling.conf"}},
            {"dest": "policy.yaml"},
        ],
        "engine": [{"dest": "qinling.conf", "oslo": True}],
        "relay": [{"dest": "haproxy.cfg"}],
    }
    assert validation_of(here, files) == {
        "api": {
            "image": "kolla/api:1",
            "container": "qinling_api",
            "files": ["qinling.conf"],
            "provided": ["/etc/qinling/qinling.conf", "/mounted"],
        }
    }


def test_each_filter_is_known_by_its_name() -> None:
    assert {name: function.__name__ for name, function in FilterModule().filters().items()} == {
        name: name
        for name in (
            "services_of_host",
            "health_of",
            "containers_of",
            "backups_of",
            "rollback_text",
            "first_host",
            "hosts_of",
            "passwords_to_generate",
            "projects_of_host",
            "projects_of_tags",
            "tag_findings",
        )
    }


def test_looks_are_had_where_their_service_is_and_some_once() -> None:
    here = {"qinling-api": {"container_name": "p_qinling_api", "image": "kolla/qinling-api:1"}}
    looks = [
        {"kind": "health", "service": "qinling-api"},
        {"kind": "api", "service": "qinling-api", "once": True},
        {"kind": "health", "service": "qinling-engine"},
    ]
    container = {
        "kind": "container",
        "service": "qinling-api",
        "container": "p_qinling_api",
        "image": "kolla/qinling-api:1",
    }
    assert checks_of(looks, here, False) == [container, looks[0]]
    assert checks_of(looks, here, True) == [container, looks[0], {"kind": "api", "service": "qinling-api"}]
    assert checks_of(looks, {}, True) == []


def test_health_is_asked_by_container() -> None:
    services = [{"container_name": "p_api", "healthcheck": {"test": ["CMD", "probe"]}}]
    assert health_of(services) == [{"name": "p_api", "test": ["CMD", "probe"], "log_file": ""}]
    without = [{"container_name": "p_api", "healthcheck": {"interval": "30s", "test": "NONE"}}]
    assert health_of(without) == [{"name": "p_api", "test": ["NONE"], "log_file": ""}]
    with_log = [{**services[0], "log_file": "/var/log/kolla/api.log"}]
    assert health_of(with_log) == [{"name": "p_api", "test": ["CMD", "probe"], "log_file": "/var/log/kolla/api.log"}]


TAGGED = [
    {"name": "etcd", "tags": ["etcd"]},
    {"name": "lb", "tags": ["haproxy", "api"]},
    {"name": "api", "tags": ["api"]},
]


@pytest.mark.parametrize(
    ("run", "skip", "selected", "findings"),
    [
        (["all"], [], ["etcd", "lb", "api"], []),
        (["all"], ["molecule-notest", "notest", "molecule-idempotence-notest"], ["etcd", "lb", "api"], []),
        (["api"], [], ["lb", "api"], []),
        (["api", "etcd"], ["haproxy"], ["etcd", "api"], []),
        (["all"], ["api"], ["etcd"], []),
        (["haproxy"], ["api"], [], []),
        (["no", "ap"], [], [], ["--tags ap,no: there is no such tag; expected any of etcd, haproxy, api"]),
        (["api"], ["lb"], ["lb", "api"], ["--skip-tags lb: there is no such tag; expected any of etcd, haproxy, api"]),
        # What Ansible knows by itself selects tasks, and here are none with tags.
        (["tagged"], [], [], ["--tags tagged: there is no such tag; expected any of etcd, haproxy, api"]),
    ],
)
def test_tags_select_roles(run: list[str], skip: list[str], selected: list[str], findings: list[str]) -> None:
    assert [role["name"] for role in projects_of_tags(TAGGED, run, skip)] == selected
    assert tag_findings(TAGGED, run, skip) == findings


def test_where_there_are_no_roles_there_are_no_tags() -> None:
    assert tag_findings([], ["all"], ["notest"]) == []
    assert tag_findings([], ["api"], []) == [
        "--tags api: there is no such tag; this playbook takes no tags; run it without"
    ]


def test_services_and_containers() -> None:
    assert containers_of({"api": {"container_name": "p_api"}}) == [{"service": "api", "container": "p_api"}]
    assert containers_of({}) == []
    backups = backups_of({"api": {"container_name": "p_api", "image": "i"}}, "qinling")
    assert backups == {"api": {"project": "qinling", "container_name": "p_api"}}
    assert containers_of(backups) == [{"service": "api", "container": "p_api"}]


def rolled_back(restored: list[str], removed: list[str], left: list[str]) -> dict[str, list[str]]:
    return {"restored": restored, "removed": removed, "left": left}


RESTORED = {"name": "p_api", "image": "kolla/api:1", "status": "healthy"}


@pytest.mark.parametrize(
    ("results", "containers", "text"),
    [
        (
            [rolled_back(["p_api"], ["p_relay"], []), rolled_back([], [], [])],
            [RESTORED],
            "h has its earlier configuration, and runs what it ran before:\n- p_api, image kolla/api:1: healthy\n"
            "- p_relay: removed, as it did not run before",
        ),
        ([rolled_back([], [], [])], [], "h has its earlier configuration, and no container had been replaced."),
        (
            [rolled_back([], [], ["p_etcd"]), rolled_back(["p_api"], [], [])],
            [RESTORED],
            "h has the new configuration where there was none that worked:\n"
            "- p_etcd: left for inspection, as none ran before\n- p_api, image kolla/api:1: healthy",
        ),
    ],
)
def test_rollback_text(results: list[dict[str, list[str]]], containers: list[dict[str, str]], text: str) -> None:
    assert rollback_text("h", results, containers) == text

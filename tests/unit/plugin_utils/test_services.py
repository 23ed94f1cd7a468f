# SPDX-License-Identifier: Apache-2.0
"""Functions over service dictionaries and projects."""

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
    config_json,
    containers_of,
    files_of,
    first_host,
    health_checks_of,
    in_role,
    named_volumes,
    own_volumes,
    rollback_facts,
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


def test_invalid_boolean_is_refused() -> None:
    with pytest.raises(TypeError, match="perhaps"):
        services_of_host(with_enabled("perhaps"), ["qinling-api"])


@pytest.mark.parametrize(
    ("groups", "play_hosts", "expected"),
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
def test_first_host(groups: dict[str, list[str]], play_hosts: list[str], expected: str) -> None:
    assert first_host(SERVICES, groups, play_hosts) == expected


def test_hosts_of() -> None:
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
        # Mounted at a second path as well.
        ({"x": {"volumes": ["logs:/l", "logs:/m"], "extra_volumes": ["logs:/m"]}}, ["logs"]),
        ({"x": {"volumes": ["a:/a"], "extra_volumes": ["a:/a"]}, "y": {"volumes": ["a:/a"]}}, ["a"]),
    ],
)
def test_own_volumes(services: dict[str, Any], expected: list[str]) -> None:
    assert own_volumes(services) == expected


@pytest.mark.parametrize("role", ["etcd", "keystone", "mariadb", "memcached", "qinling", "rabbitmq"])
def test_extra_volumes_are_declared(role: str) -> None:
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text(encoding="utf-8"))
    mounted, extra = (
        {name: re.findall(r"\w+_extra_volumes", str(service.get(key))) for name, service in services.items()}
        for services in [defaults[f"{role}_services"]]
        for key in ("volumes", "extra_volumes")
    )
    assert mounted == extra
    assert any(mounted.values())


FILES: list[dict[str, Any]] = [
    {"dest": "qinling.conf", "container": {"path": "/etc/qinling/qinling.conf", "owner": "qinling", "perm": "0640"}},
    {"dest": "ca.pem", "container": {"path": "/etc/ca.pem"}},
    {"dest": "only-on-the-host"},
]


def test_config_json_copies_files_with_a_container_path() -> None:
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


def test_config_json_with_permissions_and_without_files() -> None:
    content = config_json(ENGINE, [], "/c")
    assert content["config_files"] == []
    assert content["permissions"] == ENGINE["permissions"]


def test_files_include_config_json() -> None:
    files = files_of(SERVICES, {"qinling-api": FILES}, "/c", "/roles/qinling")
    assert [file["dest"] for file in files["qinling-api"]] == [
        "config.json",
        "qinling.conf",
        "ca.pem",
        "only-on-the-host",
    ]
    assert not [file for file in files["qinling-api"] if "container" in file]
    assert files["qinling-api"][0]["json"] == config_json(API, FILES, "/c")
    # A service without own files has a command as well.
    assert [file["dest"] for file in files["qinling-engine"]] == ["config.json"]


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
def test_relative_paths_are_resolved_in_the_role(file: dict[str, Any], absolute: dict[str, Any]) -> None:
    assert in_role(file, "/r") == absolute


def test_groups_of() -> None:
    assert groups_of([{"name": "etcd", "groups": ["etcd"]}, {"name": "qinling", "groups": ["qinling-api"]}]) == [
        {"group": "etcd", "service": "etcd"},
        {"group": "qinling-api", "service": "qinling"},
    ]


def port(number: int | str, service: str = "qinling-api") -> dict[str, Any]:
    return {"name": "qinling_api_port", "address": "127.0.0.1", "port": number, "service": service}


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([port(7070)], [7070]),
        ([port("7070")], [7070]),
        ([port(0)], []),
        ([port("0"), port(7071)], [7071]),
        ([port(7070, "etcd")], []),
        ([], []),
    ],
)
def test_ports_of_local_services(ports: list[dict[str, Any]], expected: list[int]) -> None:
    assert [entry["port"] for entry in ports_of(ports, SERVICES)] == expected


def test_port_has_its_variable_and_container() -> None:
    assert ports_of([port(7070)], SERVICES) == [
        {
            "port": 7070,
            "address": "127.0.0.1",
            "service": "qinling-api (qinling_api_port)",
            "of": "qinling-api",
            "containers": ["qinling_api"],
        }
    ]


PROJECTS = [{"name": "etcd", "groups": ["etcd"]}, {"name": "qinling", "groups": ["qinling-api", "qinling-engine"]}]


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
    assert [role["name"] for role in projects_of_host(PROJECTS, group_names)] == expected


PASSWORDS: list[dict[str, Any]] = [
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
def test_passwords_are_generated_with_their_first_project(
    enabled: list[str], needed: list[str], generated: list[str]
) -> None:
    assert passwords_of([project for project in PASSWORDS if project["name"] in enabled]) == needed
    assert passwords_to_generate(PASSWORDS, enabled) == generated


def test_files_with_oslo_options_are_validated() -> None:
    local: dict[str, Any] = {
        "api": {
            "image": "kolla/api:1",
            "container_name": "qinling_api",
            "volumes": ["/host:/mounted:ro", "", "/host-path"],
        },
        "gateway": {"image": "kolla/gateway:1", "container_name": "qinling_gateway"},
    }
    files: dict[str, Any] = {
        "api": [
            {"dest": "qinling.conf", "oslo": True, "container": {"path": "/etc/qinling/qinling.conf"}},
            {"dest": "policy.yaml"},
        ],
        "engine": [{"dest": "qinling.conf", "oslo": True}],
        "gateway": [{"dest": "haproxy.cfg"}],
    }
    assert validation_of(local, files) == {
        "api": {
            "image": "kolla/api:1",
            "container": "qinling_api",
            "files": ["qinling.conf"],
            "provided": ["/etc/qinling/qinling.conf", "/mounted"],
        }
    }


def test_filters_have_the_names_of_their_functions() -> None:
    assert {name: function.__name__ for name, function in FilterModule().filters().items()} == {
        name: name
        for name in (
            "services_of_host",
            "health_checks_of",
            "containers_of",
            "rollback_facts",
            "rollback_text",
            "first_host",
            "hosts_of",
            "passwords_to_generate",
            "projects_of_host",
            "projects_of_tags",
            "tag_findings",
        )
    }


def test_checks_run_on_hosts_of_their_service() -> None:
    local = {"qinling-api": {"container_name": "p_qinling_api", "image": "kolla/qinling-api:1"}}
    checks: list[dict[str, Any]] = [
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
    assert checks_of(checks, local, False) == [container, checks[0]]
    assert checks_of(checks, local, True) == [container, checks[0], {"kind": "api", "service": "qinling-api"}]
    assert checks_of(checks, {}, True) == []


def test_health_checks_of() -> None:
    services = [{"container_name": "p_api", "healthcheck": {"test": ["CMD", "probe"]}}]
    assert health_checks_of(services) == [{"name": "p_api", "test": ["CMD", "probe"], "log_file": ""}]
    without = [{"container_name": "p_api", "healthcheck": {"interval": "30s", "test": "NONE"}}]
    assert health_checks_of(without) == [{"name": "p_api", "test": ["NONE"], "log_file": ""}]
    with_log = [{**services[0], "log_file": "/var/log/kolla/api.log"}]
    assert health_checks_of(with_log) == [
        {"name": "p_api", "test": ["CMD", "probe"], "log_file": "/var/log/kolla/api.log"}
    ]


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
        (["no", "ap"], [], [], ["--tags ap,no: unknown tag; expected any of etcd, haproxy, api"]),
        (["api"], ["lb"], ["lb", "api"], ["--skip-tags lb: unknown tag; expected any of etcd, haproxy, api"]),
        # Ansible's special tags select tasks, but no task has tags.
        (["tagged"], [], [], ["--tags tagged: unknown tag; expected any of etcd, haproxy, api"]),
    ],
)
def test_tags_select_projects(run: list[str], skip: list[str], selected: list[str], findings: list[str]) -> None:
    assert [role["name"] for role in projects_of_tags(TAGGED, run, skip)] == selected
    assert tag_findings(TAGGED, run, skip) == findings


def test_tags_without_projects_are_reported() -> None:
    assert tag_findings([], ["all"], ["notest"]) == []
    assert tag_findings([], ["api"], []) == [
        "--tags api: unknown tag; this playbook does not support tags; run it without"
    ]


def test_services_and_containers() -> None:
    assert containers_of({"api": {"container_name": "p_api"}}) == [{"service": "api", "container": "p_api"}]
    assert containers_of({}) == []
    backups = rollback_facts({"api": {"container_name": "p_api", "image": "i"}}, "qinling")
    assert backups == {"api": {"project": "qinling", "container_name": "p_api"}}
    assert containers_of(backups) == [{"service": "api", "container": "p_api"}]


def rollback(restored: list[str], removed: list[str], left: list[str]) -> dict[str, list[str]]:
    return {"restored": restored, "removed": removed, "left": left}


RESTORED = {"name": "p_api", "image": "kolla/api:1", "status": "healthy"}


@pytest.mark.parametrize(
    ("results", "containers", "text"),
    [
        (
            [rollback(["p_api"], ["p_gateway"], []), rollback([], [], [])],
            [RESTORED],
            "h has its previous configuration, and its previous containers:\n- p_api, image kolla/api:1: healthy\n"
            "- p_gateway: removed, as it was not running before",
        ),
        ([rollback([], [], [])], [], "h has its previous configuration, and no container was replaced."),
        (
            [rollback([], [], ["p_etcd"]), rollback(["p_api"], [], [])],
            [RESTORED],
            "h has the new configuration, as it had no working one before:\n"
            "- p_etcd: left for inspection, as none was running before\n- p_api, image kolla/api:1: healthy",
        ),
    ],
)
def test_rollback_text(results: list[dict[str, list[str]]], containers: list[dict[str, str]], text: str) -> None:
    assert rollback_text("h", results, containers) == text

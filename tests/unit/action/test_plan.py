# SPDX-License-Identifier: Apache-2.0
"""What the action plugin plan asks the host to compare."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.action.plan import ActionModule, Project, differences_text
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects.projects import Definition


def project(name: str, args: dict[str, Any], volumes: list[str], extra: list[str]) -> Project:
    """Return a project with one service, which mounts some volumes, the last of them as the operator's."""
    service = {"container_name": name, "volumes": volumes + extra, "extra_volumes": extra, "group": "all"}
    definition = Definition(name, f"{name}_project", {"services": {name: service}}, lambda value: value)
    return Project(definition, args, ["all"], first=True)


@pytest.mark.parametrize(
    ("keep_data", "volumes", "extra"),
    [
        (False, ["customer_data", "etcd", "logs"], ["customer_data"]),
        (True, ["logs"], []),
    ],
)
def test_extra_volumes_are_those_that_no_service_mounts_by_itself(
    keep_data: bool, volumes: list[str], extra: list[str]
) -> None:
    args = {
        "scopes": ["leftovers"],
        "root": "/etc/kolla",
        "keep_data": keep_data,
        "transient_volumes": ["logs"],
        "bootstrap_prefix": "bootstrap_",
    }
    projects = [
        project("etcd", args, ["/etc/localtime:/etc/localtime:ro", "etcd:/e", "logs:/l"], ["customer_data:/data"]),
        # The other project's own.
        project("memcached", args, ["logs:/x", ""], []),
    ]
    plugin = ActionModule.__new__(ActionModule)
    leftovers = plugin._request(projects, args)["leftovers"]
    assert (leftovers["etcd"]["volumes"], leftovers["etcd"]["extra_volumes"]) == (volumes, extra)
    assert (leftovers["memcached"]["volumes"], leftovers["memcached"]["extra_volumes"]) == (["logs"], [])


@pytest.mark.parametrize(
    ("differences", "text"),
    [
        ({}, "Plan: nothing differs"),
        ({"files": [], "resources": {}, "running": ["etcd"]}, "Plan: nothing differs"),
        (
            {"files": ["/etc/kolla/etcd/config.json"], "resources": {"database": ["privileges"], "swarm": ["a", "b"]}},
            "Plan:\netcd: files: /etc/kolla/etcd/config.json\netcd: resources: database: privileges; swarm: a, b",
        ),
    ],
)
def test_a_plan_as_text(differences: dict[str, Any], text: str) -> None:
    assert differences_text({"etcd": {"differences": differences}}, {"files", "resources"}) == text


@pytest.mark.parametrize(
    ("prechecks", "checked", "requirements"),
    [("", False, []), ("planned", False, ["engine"]), ("all", True, ["engine"])],
)
def test_requirements_count_where_prechecks_run(prechecks: str, checked: bool, requirements: list[str]) -> None:
    given = {"services": {}, "requirements": [{"unmet": "yes", "message": "engine"}, {"unmet": False, "message": "x"}]}
    definition = Definition("a", "a_project", given, lambda value: value)
    args = {"scopes": ["host"], "transient_volumes": [], "bootstrap_prefix": "", "prechecks": prechecks}
    found = Project(definition, args, [], first=True)
    assert (found.checked, [item["message"] for item in found.unmet]) == (checked, requirements)


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"kind": "keystone_services"}, "must be one of"),
        ({"kind": "file", "on_controler": True}, "on_controler"),
        ({"kind": "file", "once": True, "path": "/a"}, ""),
    ],
)
def test_a_resource_of_a_wrong_kind_or_key_is_a_finding(resource: dict[str, Any], words: str) -> None:
    definition = Definition("a", "a_project", {"services": {}, "resources": [resource]}, lambda value: value)
    definition.get("resources")
    text = "".join(map(str, definition.findings()))
    assert words in text
    assert bool(text) == bool(words)

# SPDX-License-Identifier: Apache-2.0
"""The action plan: projects, requests to the host and the text of differences."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.action.plan import ActionModule, Project, differences_text
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects.projects import Definition


def project(name: str, args: dict[str, Any], volumes: list[str], extra: list[str]) -> Project:
    """Return a project with one service, which mounts `volumes` and the operator's `extra` volumes."""
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
def test_extra_volumes_exclude_own_volumes(keep_data: bool, volumes: list[str], extra: list[str]) -> None:
    args = {
        "scopes": ["leftovers"],
        "root": "/etc/kolla",
        "keep_data": keep_data,
        "transient_volumes": ["logs"],
        "bootstrap_prefix": "bootstrap_",
    }
    projects = [
        project("etcd", args, ["/etc/localtime:/etc/localtime:ro", "etcd:/e", "logs:/l"], ["customer_data:/data"]),
        # A volume of both projects.
        project("memcached", args, ["logs:/x", ""], []),
    ]
    plugin = ActionModule.__new__(ActionModule)
    leftovers = plugin._request(projects, args)["leftovers"]
    assert (leftovers["etcd"]["volumes"], leftovers["etcd"]["extra_volumes"]) == (volumes, extra)
    assert (leftovers["memcached"]["volumes"], leftovers["memcached"]["extra_volumes"]) == (["logs"], [])


@pytest.mark.parametrize(
    ("differences", "text"),
    [
        ({}, "Plan: no differences"),
        ({"files": [], "resources": {}, "running": ["etcd"]}, "Plan: no differences"),
        (
            {"files": ["/etc/kolla/etcd/config.json"], "resources": {"database": ["privileges"], "swarm": ["a", "b"]}},
            "Plan:\netcd: files: /etc/kolla/etcd/config.json\netcd: resources: database: privileges; swarm: a, b",
        ),
    ],
)
def test_differences_as_text(differences: dict[str, Any], text: str) -> None:
    assert differences_text({"etcd": {"differences": differences}}, {"files", "resources"}) == text


@pytest.mark.parametrize(
    ("prechecks", "always", "requirements"),
    [("", False, []), ("planned", False, ["engine"]), ("all", True, ["engine"])],
)
def test_requirements_apply_if_prechecks_run(prechecks: str, always: bool, requirements: list[str]) -> None:
    raw = {"services": {}, "requirements": [{"unmet": "yes", "message": "engine"}, {"unmet": False, "message": "x"}]}
    definition = Definition("a", "a_project", raw, lambda value: value)
    args = {"scopes": ["host"], "transient_volumes": [], "bootstrap_prefix": "", "prechecks": prechecks}
    found = Project(definition, args, [], first=True)
    assert (found.always_checked, [item["message"] for item in found.unmet]) == (always, requirements)


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"kind": "keystone_services"}, "must be one of"),
        ({"kind": "file", "on_controler": True}, "on_controler"),
        ({"kind": "file", "once": True, "path": "/a"}, ""),
    ],
)
def test_invalid_resource_is_reported(resource: dict[str, Any], words: str) -> None:
    definition = Definition("a", "a_project", {"services": {}, "resources": [resource]}, lambda value: value)
    definition.get("resources")
    text = "".join(map(str, definition.findings()))
    assert words in text
    assert bool(text) == bool(words)

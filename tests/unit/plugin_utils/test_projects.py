# SPDX-License-Identifier: Apache-2.0
"""Definitions of projects are evaluated lazily and validated against their specification."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects.projects import Definition, specification

PROJECT = Path(__file__).resolve().parents[3]
GOOD: dict[str, Any] = {
    "services": {"api": {"group": "api", "container_name": "own_api", "image": "i"}},
    "ports": [{"name": "api_port", "address": "::1", "port": "80", "service": "api"}],
    "hooks": ["precheck"],
}


def load(path: str) -> Any:
    return yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))


PROJECTS = load("group_vars/all/projects.yml")["qinling_projects"]


def definition(raw: dict[str, Any]) -> Definition:
    return Definition("own", "own_project", raw, lambda value: value)


def test_keys_are_evaluated_lazily_and_once() -> None:
    evaluated: list[Any] = []

    def evaluate(value: Any) -> dict[str, Any]:
        evaluated.append(value)
        return {}

    own = Definition("own", "own_project", {"services": 1, "database": 2}, evaluate)
    assert (own.get("services"), own.get("services"), own.get("ports", [])) == ({}, {}, [])
    assert evaluated == [1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"hook": ["precheck"]}, "hook is not a key of a project; expected one of services, files"),
        ({"hooks": ["before"]}, "before"),
        ({"ports": [{"name": "api_port", "address": "::1", "service": "api"}]}, "port"),
        ({"ports": [{**GOOD["ports"][0], "port": "http"}]}, "port"),
        ({"ports": [{**GOOD["ports"][0], "protocol": "tcp"}]}, "protocol"),
        ({"services": "api"}, "services"),
        (
            {"services": {"api": {"group": "api", "container_name": "own_api"}}},
            "api: missing required arguments: image",
        ),
        (
            {"services": {"api": {**GOOD["services"]["api"], "privileged": True}}},
            "api: privileged. Supported parameters",
        ),
        ({"services": {"api": {**GOOD["services"]["api"], "volumes": {}}}}, "api: argument 'volumes'"),
    ],
)
def test_definition_is_validated(changes: dict[str, Any], words: str) -> None:
    own = definition({**GOOD, **changes})
    for key in ("services", "ports", "hooks"):
        own.get(key)
    findings = [str(finding) for finding in own.findings()]
    assert len(findings) == (1 if words else 0)
    assert all(finding.startswith("own_project: ") and words in finding for finding in findings)


def test_keys_that_are_not_read_may_be_missing() -> None:
    own = definition({"database": {"name": "x"}})
    assert own.findings() == []
    own.get("services")
    assert "services" in str(own.findings()[0])


@pytest.mark.parametrize("project", PROJECTS, ids=[project["name"] for project in PROJECTS])
def test_project_is_a_role_with_a_valid_definition(project: dict[str, Any]) -> None:
    raw = load(f"roles/{project['name']}/vars/main.yml")[project["definition"]]
    assert set(raw) <= set(specification("project"))
    for hook in raw.get("hooks", []):
        assert (PROJECT / f"roles/{project['name']}/tasks/{hook}.yml").is_file()


def test_variable_names_are_never_computed() -> None:
    files = [path for folder in ("roles", "playbooks", "group_vars") for path in (PROJECT / folder).rglob("*.yml")]
    lookup = re.compile(r"(lookup|query|q)\(\s*['\"](ansible\.builtin\.)?vars['\"]")
    assert lookup.search("{{ lookup('vars', '__' ~ name) }}")
    built = [str(path) for path in files if lookup.search(path.read_text(encoding="utf-8"))]
    assert built == []

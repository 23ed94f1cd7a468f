# SPDX-License-Identifier: Apache-2.0
"""The recipe in docs/second-deployment.md sets everything that two deployments on one host would share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]


def load(path: str) -> dict[str, Any]:
    variables: dict[str, Any] = yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))
    return variables


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """Return the variables of the recipe."""
    text = (PROJECT / "docs/second-deployment.md").read_text(encoding="utf-8")
    found = re.search(r"globals\.yml <<'END'\n(qinling_container_prefix: .*?)END\n", text, re.DOTALL)
    assert found
    variables: dict[str, Any] = yaml.safe_load(found[1])
    return variables


def global_defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for path in (PROJECT / "group_vars/all").glob("*.yml"):
        defaults |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return defaults


def test_recipe_sets_the_ports_of_all_projects(recipe: dict[str, Any]) -> None:
    projects = load("group_vars/all/projects.yml")["qinling_projects"]
    definitions = [load(f"roles/{project['name']}/vars/main.yml")[project["definition"]] for project in projects]
    ports = {port["name"] for definition in definitions for port in definition.get("ports", [])}
    assert ports == {name for name in recipe if name.endswith("_port")}


def test_recipe_changes_the_ports_of_the_globals(recipe: dict[str, Any]) -> None:
    defaults = global_defaults()
    # The port of Kolla's own ProxySQL.
    ports = {name for name, value in defaults.items() if name.endswith("_port") and isinstance(value, int)}
    assert ports - {"proxysql_admin_port"} <= set(recipe)
    taken = {value for name, value in defaults.items() if name in ports} | {5672}
    chosen = [value for name, value in recipe.items() if name.endswith("_port")]
    assert len(set(chosen)) == len(chosen)
    assert not taken & set(chosen)


def test_recipe_sets_names_and_directories(recipe: dict[str, Any]) -> None:
    assert {name for name in recipe if not name.endswith("_port")} == {"qinling_container_prefix", "node_config"}

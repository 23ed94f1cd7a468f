# SPDX-License-Identifier: Apache-2.0
"""The recipe in docs/second-deployment.md sets everything that two deployments on one host would share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parents[1].name for path in (PROJECT / "roles").glob("*/vars/main.yml"))


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


@pytest.mark.parametrize("role", ROLES)
def test_recipe_sets_the_ports_of_a_role(role: str, recipe: dict[str, Any]) -> None:
    variables = yaml.safe_load((PROJECT / "roles" / role / "vars/main.yml").read_text(encoding="utf-8"))
    assert {port["name"] for port in variables.get(f"__{role}_ports", [])} <= set(recipe)


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

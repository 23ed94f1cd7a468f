# SPDX-License-Identifier: Apache-2.0
"""Included files exist: a syntax check does not cover dynamic includes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
FILES = [
    path
    for pattern in ("playbooks/**/*.yml", "roles/*/tasks/**/*.yml", "molecule/**/*.yml", "tests/versions/*.yml")
    for path in sorted(PROJECT.glob(pattern))
    if path.name != "molecule.yml"
]


def tasks_of(item: Any) -> Iterator[dict[str, Any]]:
    """Yield all mappings of a YAML document, at any depth."""
    if isinstance(item, dict):
        yield item
    for part in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
        yield from tasks_of(part)


def included(path: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield the includes of a file without templates in their names, and the files of which one must exist."""
    for task in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
        for action in ("include_role", "import_role"):
            role = task.get(f"ansible.builtin.{action}")
            if isinstance(role, dict) and "{{" not in f"{role['name']}{role.get('tasks_from', '')}":
                name = str(role.get("tasks_from", "main")).removesuffix(".yml")
                tasks = PROJECT / "roles" / str(role["name"]).rpartition(".")[2] / "tasks"
                yield f"{role['name']}: {name}", [tasks / f"{name}.yml"]
        for action in ("include_tasks", "import_tasks", "import_playbook"):
            included = task.get(f"ansible.builtin.{action}")
            if isinstance(included, str) and "{{" not in included:
                above = [folder for folder in path.parents if folder.name == "tasks"]
                yield included, [path.parent / included, *(folder / included for folder in above)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_included_files_exist(path: Path) -> None:
    missing = [name for name, files in included(path) if not any(file.is_file() for file in files)]
    assert missing == []


def test_includes_are_found() -> None:
    names = [name for path in FILES for name, _files in included(path)]
    assert "qinling.kolla.qinling: kubernetes_credentials" in names
    assert "wait_for_dependencies.yml" in names

# SPDX-License-Identifier: Apache-2.0
"""A service is added with a role and an entry in group_vars/all/projects.yml, as described in roles/README.md."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_directory import PROJECT, changed, containers, fill, play

PROJECT_ENTRY = """\
  - name: echo
    definition: echo_project
    enabled: true
    groups: [echo]
    tags: [echo]
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout with an additional service: memcached with another name and the same image."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_symlink() or (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name, follow_symlinks=False)
    for path in (copy / "roles/memcached").rglob("*.yml"):
        text = path.read_text(encoding="utf-8").replace("memcached", "echo")
        # The image keeps its name and content.
        text = text.replace("docker_image_url }}echo", "docker_image_url }}memcached").replace("enable_echo", "true")
        text = text.replace('"echo -l', '"memcached -l').replace("_listen echo", "_listen memcached")
        target = copy / "roles/echo" / path.relative_to(copy / "roles/memcached")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    projects = copy / "group_vars/all/projects.yml"
    text = projects.read_text(encoding="utf-8")
    projects.write_text(text.replace("  - name: qinling\n", f"{PROJECT_ENTRY}  - name: qinling\n"), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def operator(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield an operator's directory for this service only, and destroy the deployment afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("operator")
    settings = {"qinling_container_prefix": "added_", "echo_port": port, "node_config": str(folder / "node")}
    fill(folder, {**settings, "default_container_healthcheck_interval": 2})
    host = f"machine ansible_connection=local ansible_python_interpreter={sys.executable}"
    (folder / "inventory").write_text(f"[echo]\n{host}\n")
    yield folder
    run(folder, checkout, "destroy", qinling_destroy_confirmed="yes")
    assert containers("added_") == {}
    assert not (folder / "node/echo").exists()


def run(folder: Path, checkout: Path, playbook: str, *arguments: str, **variables: str) -> str:
    """Run a playbook, assert that it succeeds, and return its output."""
    inventory = str(folder / "inventory")
    code, shown = play(folder, playbook, *arguments, inventory=inventory, project=checkout, **variables)
    assert code == 0, shown[-4000:]
    return shown


def test_added_service_is_deployed_idempotently(operator: Path, checkout: Path) -> None:
    assert changed(run(operator, checkout, "deploy")) > 0
    assert containers("added_") == {"added_echo": "running"}
    assert changed(run(operator, checkout, "deploy")) == 0


def test_other_actions_include_the_added_service(operator: Path, checkout: Path) -> None:
    assert "added_echo runs, is healthy" in run(operator, checkout, "check")
    shown = run(operator, checkout, "reconfigure", "--check", "-e", "echo_max_memory=32")
    assert changed(shown) > 0
    assert changed(run(operator, checkout, "reconfigure", "-e", "echo_max_memory=32")) > 0
    assert changed(run(operator, checkout, "upgrade", "-e", "echo_max_memory=32")) == 0


def test_input_of_the_added_service_is_checked(operator: Path, checkout: Path) -> None:
    inventory = str(operator / "inventory")
    code, shown = play(operator, "prechecks", inventory=inventory, project=checkout, echo_max_memory="much")
    assert code != 0
    assert "echo_max_memory: expected an integer" in shown

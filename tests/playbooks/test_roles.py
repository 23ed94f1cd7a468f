# SPDX-License-Identifier: Apache-2.0
"""Roles in an operator's own plays, without this collection's group_vars and without an operator's directory."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from operator_directory import PROJECT, changed, containers

# The roles whose groups the inventory of these tests lacks.
OTHERS = ("etcd", "keystone", "loadbalancer", "mariadb", "qinling", "rabbitmq")
# The two ways to use a role in a play.
PLAYS: dict[str, dict[str, Any]] = {
    "roles": {"roles": ["qinling.kolla.memcached"]},
    "include_role": {"tasks": [{"ansible.builtin.include_role": {"name": "qinling.kolla.memcached"}}]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an inventory of one host."""
    folder = tmp_path_factory.mktemp("own")
    host = f"machine ansible_connection=local ansible_python_interpreter={sys.executable}"
    (folder / "inventory").write_text(f"[memcached]\n{host}\n[other]\nmachine\n")
    return folder


@pytest.fixture(scope="module")
def variables(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the variables of the play, with a separate prefix and port, and destroy the deployment afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "qinling_container_prefix": "own_",
        "kolla_config_dir": str(folder / "none"),
        "node_config": str(folder / "node"),
        "memcached_port": port,
        # Instead of passwords.yml.
        "memcache_secret_key": "aPasswordOfTests",
        "default_container_healthcheck_interval": 2,
    }
    yield variables
    run(folder, PLAYS["roles"], variables, kolla_action="destroy", qinling_destroy_confirmed="yes")
    assert containers("own_") == {}
    assert not (folder / "node/memcached").exists()


def run(
    folder: Path,
    play: Mapping[str, Any],
    variables: Mapping[str, Any],
    *arguments: str,
    code: int = 0,
    inventory: str = "inventory",
    **more: Any,
) -> str:
    """Run a play, assert its exit code, and return its output with all whitespace as single blanks."""
    whole = {"hosts": "all", "gather_facts": False, "vars": {**variables, **more}, **play}
    (folder / "play.yml").write_text(json.dumps([whole]))
    done = subprocess.run(
        ["ansible-playbook", "-i", str(folder / inventory), *arguments, str(folder / "play.yml")],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, (done.stdout + done.stderr)[-4000:]
    return " ".join((done.stdout + done.stderr).split())


def test_plays_in_documentation_are_valid(tmp_path: Path) -> None:
    readmes = [PROJECT / "docs/actions.md", *PROJECT.glob("roles/*/README.md")]
    blocks = [block for path in readmes for block in re.findall(r"(?ms)^```yaml\n(- name: .*?)^```$", path.read_text())]
    (tmp_path / "plays.yml").write_text("---\n" + "\n".join(blocks))
    named = re.findall(r"- qinling\.kolla\.(\w+)$", "\n".join(blocks), re.MULTILINE)
    assert set(named) == {*OTHERS, "memcached", "baremetal", "image"}
    command = ["ansible-playbook", "-i", "inventory/multinode", "--syntax-check", str(tmp_path / "plays.yml")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_role_deploys_its_service(folder: Path, variables: dict[str, Any]) -> None:
    assert changed(run(folder, PLAYS["roles"], variables, "--check")) > 0
    assert containers("own_") == {}
    assert changed(run(folder, PLAYS["roles"], variables)) > 0
    assert containers("own_") == {"own_memcached": "running"}


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_second_run_changes_nothing(folder: Path, variables: dict[str, Any], play: dict[str, Any]) -> None:
    assert changed(run(folder, play, variables)) == 0
    assert changed(run(folder, play, variables, "--check")) == 0


def test_role_supports_every_kolla_action(folder: Path, variables: dict[str, Any]) -> None:
    assert "own_memcached runs, is healthy" in run(folder, PLAYS["roles"], variables, kolla_action="check")
    for action in ("prechecks", "pull", "genconfig", "upgrade"):
        assert changed(run(folder, PLAYS["roles"], variables, kolla_action=action)) == 0, action
    more: dict[str, Any] = {"memcached_max_memory": 32}
    assert changed(run(folder, PLAYS["include_role"], variables, kolla_action="reconfigure", **more)) > 0
    assert changed(run(folder, PLAYS["include_role"], variables, kolla_action="stop", **more)) == 1
    assert containers("own_") == {"own_memcached": "exited"}
    assert changed(run(folder, PLAYS["include_role"], variables, kolla_action="deploy", **more)) > 0
    assert containers("own_") == {"own_memcached": "running"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        # Checked by Ansible with the role's argument_specs.
        ({"memcached_connection_limit": "many"}, "memcached_connection_limit"),
        # Checked with the role's input rules.
        ({"memcached_connection_limit": 0}, "memcached_connection_limit: expected an integer, at least 1"),
        ({"kolla_action": "explode"}, "kolla_action: expected one of"),
        ({"kolla_action": "destroy"}, "nothing was removed, because destroy was not confirmed"),
    ],
)
def test_invalid_input_is_reported(folder: Path, variables: dict[str, Any], more: dict[str, Any], words: str) -> None:
    before = containers("own_")
    assert words in run(folder, PLAYS["roles"], variables, code=2, **more)
    assert containers("own_") == before


def test_condition_of_the_role_does_not_skip_the_settings(folder: Path, variables: dict[str, Any]) -> None:
    """With run_once, the settings would only be loaded on the first host, which the condition skips."""
    kolla = folder / "kolla"
    kolla.mkdir()
    (kolla / "globals.yml").write_text("memcached_connection_limit: 0\n")
    (folder / "two").write_text(f"first ansible_connection=local\n{(folder / 'inventory').read_text()}")
    play = {"roles": [{"role": "qinling.kolla.memcached", "when": "'memcached' in group_names"}]}
    own = {**variables, "kolla_config_dir": str(kolla)}
    shown = run(folder, play, own, code=2, inventory="two", kolla_action="prechecks")
    assert "globals.yml:1: memcached_connection_limit: expected an integer, at least 1" in shown


def test_serial_is_refused(folder: Path, variables: dict[str, Any]) -> None:
    (folder / "two").write_text(f"{(folder / 'inventory').read_text()}[memcached]\nsecond ansible_connection=local\n")
    assert "the play sets serial" in run(folder, {**PLAYS["roles"], "serial": 1}, variables, code=2, inventory="two")


@pytest.mark.parametrize("role", OTHERS)
def test_play_without_hosts_of_the_role_is_refused(folder: Path, variables: dict[str, Any], role: str) -> None:
    """The role's argument_specs are validated before this message."""
    shown = run(folder, {"roles": [f"qinling.kolla.{role}"]}, variables, code=2)
    assert f"no host of the play is in the groups of the role {role}" in shown

# SPDX-License-Identifier: Apache-2.0
"""Roles in plays of an operator's own: no group_vars of this collection next to them, and no operator's directory."""

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

# All but the one that the inventory of these tests is for.
OTHERS = ("etcd", "keystone", "loadbalancer", "mariadb", "qinling", "rabbitmq")
# What an operator writes: the role in the list `roles`, or included by a task.
PLAYS: dict[str, dict[str, Any]] = {
    "roles": {"roles": ["qinling.kolla.memcached"]},
    "include_role": {"tasks": [{"ansible.builtin.include_role": {"name": "qinling.kolla.memcached"}}]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an inventory of one host, and nothing else."""
    folder = tmp_path_factory.mktemp("own")
    host = f"machine ansible_connection=local ansible_python_interpreter={sys.executable}"
    (folder / "inventory").write_text(f"[memcached]\n{host}\n[other]\nmachine\n")
    return folder


@pytest.fixture(scope="module")
def variables(folder: Path) -> Iterator[dict[str, Any]]:
    """The variables of the play: names and a port of the test's own. Nothing is left on the host afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "qinling_container_prefix": "own_",
        "kolla_config_dir": str(folder / "none"),
        "node_config": str(folder / "node"),
        "memcached_port": port,
        # With passwords.yml, or with variables from anywhere else.
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
    """Run a play with variables of its own and see its exit code; return what it printed, without line breaks."""
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


def test_the_plays_of_the_readmes_are_plays(tmp_path: Path) -> None:
    readmes = [PROJECT / "README.md", *PROJECT.glob("roles/*/README.md")]
    blocks = [block for path in readmes for block in re.findall(r"(?ms)^```yaml\n(- name: .*?)^```$", path.read_text())]
    (tmp_path / "plays.yml").write_text("---\n" + "\n".join(blocks))
    named = re.findall(r"- qinling\.kolla\.(\w+)$", "\n".join(blocks), re.MULTILINE)
    assert set(named) == {*OTHERS, "memcached", "bootstrap", "image"}
    command = ["ansible-playbook", "-i", "inventory/multinode", "--syntax-check", str(tmp_path / "plays.yml")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_is_deployed_by_its_role_alone(folder: Path, variables: dict[str, Any]) -> None:
    assert changed(run(folder, PLAYS["roles"], variables, "--check")) > 0
    assert containers("own_") == {}
    assert changed(run(folder, PLAYS["roles"], variables)) > 0
    assert containers("own_") == {"own_memcached": "running"}


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_a_second_run_changes_nothing(folder: Path, variables: dict[str, Any], play: dict[str, Any]) -> None:
    assert changed(run(folder, play, variables)) == 0
    assert changed(run(folder, play, variables, "--check")) == 0


def test_it_takes_every_action_of_kolla(folder: Path, variables: dict[str, Any]) -> None:
    assert "own_memcached runs, is healthy" in run(folder, PLAYS["roles"], variables, kolla_action="check")
    for action in ("prechecks", "pull", "genconfig", "upgrade"):
        assert changed(run(folder, PLAYS["roles"], variables, kolla_action=action)) == 0, action
    more = {"memcached_max_memory": 32}
    assert changed(run(folder, PLAYS["include_role"], variables, kolla_action="reconfigure", **more)) > 0
    assert changed(run(folder, PLAYS["include_role"], variables, kolla_action="stop", **more)) == 1
    assert containers("own_") == {"own_memcached": "exited"}
    assert changed(run(folder, PLAYS["include_role"], variables, kolla_action="deploy", **more)) > 0
    assert containers("own_") == {"own_memcached": "running"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        # By Ansible itself, from the role's argument_specs.
        ({"memcached_connection_limit": "many"}, "memcached_connection_limit"),
        # What they cannot say.
        ({"memcached_connection_limit": 0}, "memcached_connection_limit: expected an integer, at least 1"),
        ({"kolla_action": "explode"}, "kolla_action: expected one of"),
        ({"kolla_action": "destroy"}, "nothing was removed, as that was not confirmed"),
    ],
)
def test_wrong_input_is_named(folder: Path, variables: dict[str, Any], more: dict[str, Any], words: str) -> None:
    before = containers("own_")
    assert words in run(folder, PLAYS["roles"], variables, code=2, **more)
    assert containers("own_") == before


def test_a_condition_of_the_role_does_not_leave_out_the_settings(folder: Path, variables: dict[str, Any]) -> None:
    """Of the first host, which it leaves out, run_once would load nothing for the other."""
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
    assert "the play has serial" in run(folder, {**PLAYS["roles"], "serial": 1}, variables, code=2, inventory="two")


@pytest.mark.parametrize("role", OTHERS)
def test_hosts_outside_the_groups_of_a_role_are_named(folder: Path, variables: dict[str, Any], role: str) -> None:
    """Up to the message that no host is for it: its argument_specs are validated before that."""
    shown = run(folder, {"roles": [f"qinling.kolla.{role}"]}, variables, code=2)
    assert f"no host of the play is in the groups of the role {role}" in shown

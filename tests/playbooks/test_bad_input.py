# SPDX-License-Identifier: Apache-2.0
"""What an operator gets wrong, and the message that the playbooks give for it before anything is changed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PASSWORDS = "".join(
    f"{name}: aPasswordOfTests\n"
    for name in (
        "database_password",
        "rabbitmq_password",
        "rabbitmq_cluster_cookie",
        "memcache_secret_key",
        "keystone_admin_password",
        "keystone_database_password",
        "qinling_database_password",
        "qinling_keystone_password",
    )
)
GLOBALS = {"qinling_container_prefix": "badinput_"}


@pytest.fixture()
def operator(tmp_path: Path) -> Path:
    """An operator's directory with which nothing is wrong."""
    (tmp_path / "config" / "qinling").mkdir(parents=True)
    (tmp_path / "globals.yml").write_text(json.dumps({**GLOBALS, "node_config": str(tmp_path / "node")}))
    (tmp_path / "passwords.yml").write_text(PASSWORDS)
    return tmp_path


def precheck(operator: Path, inventory: str = "inventory/all-in-one", **more: Any) -> tuple[int, str]:
    """Run the prechecks; return the exit code and what was printed, with the line breaks of its layout taken out."""
    variables = {"kolla_config_dir": str(operator), **more}
    command = ["ansible-playbook", "-i", inventory, "-e", json.dumps(variables), "playbooks/prechecks.yml"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def broken(file: str, content: str) -> Callable[[Path], dict[str, Any]]:
    """Return what writes a file of the operator's."""

    def write(operator: Path) -> dict[str, Any]:
        (operator / file).write_text(content)
        return {}

    return write


def removed(file: str) -> Callable[[Path], dict[str, Any]]:
    """Return what takes a file of the operator's away."""

    def remove(operator: Path) -> dict[str, Any]:
        (operator / file).unlink()
        return {}

    return remove


CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], list[str]]] = {
    "globals.yml is not YAML": (broken("globals.yml", "enable_qinling: [\n"), ["globals.yml:2"]),
    "passwords.yml is missing": (removed("passwords.yml"), ["passwords.yml", 'run the playbook "passwords"']),
    "a password is empty": (
        broken(
            "passwords.yml",
            PASSWORDS.replace("qinling_database_password: aPasswordOfTests", "qinling_database_password:"),
        ),
        ["passwords.yml", "qinling_database_password"],
    ),
    "a port is no number": (lambda _: {"qinling_api_port": "http"}, ["qinling_api_port", "int"]),
    "a list is no list": (lambda _: {"qinling_backing_services": 5}, ["qinling_backing_services"]),
    "an unknown orchestrator": (
        lambda _: {"qinling_orchestrator": "mesos"},
        ["qinling_orchestrator", "kubernetes", "swarm"],
    ),
    "etcd is off": (lambda _: {"enable_etcd": "no"}, ["enable_etcd", 'set enable_etcd: "yes"']),
    "an override with a line that is none": (
        broken("config/qinling/qinling-engine.conf", "[kubernetes]\nkube_host\n"),
        ["qinling-engine.conf:2"],
    ),
    "two broken overrides at once": (
        lambda operator: {
            **broken("config/qinling.conf", "[DEFAULT\n")(operator),
            **broken("config/qinling/policy.yaml", "a: [\n")(operator),
        },
        ["qinling.conf:1", "policy.yaml"],
    ),
    "a registry that does not answer": (
        lambda _: {"docker_registry": "127.0.0.1:9"},
        ["registry 127.0.0.1:9 can not be reached", "docker_registry"],
    ),
    "an image that does not exist": (lambda _: {"openstack_tag": "none-of-this-name"}, ["none-of-this-name"]),
    "an unknown action": (lambda _: {"kolla_action": "deplyo"}, ["kolla_action", "deplyo"]),
    "an action with a playbook of its own": (lambda _: {"kolla_action": "build"}, ["Run the playbook build"]),
    "destroy without being asked": (lambda _: {"kolla_action": "destroy"}, ["-e qinling_destroy_confirmed=yes"]),
}


@pytest.mark.parametrize("case", CASES)
def test_message_names_what_is_wrong(case: str, operator: Path) -> None:
    spoil, words = CASES[case]
    code, shown = precheck(operator, **spoil(operator))
    assert code != 0
    assert not [word for word in words if word not in shown], shown[-3000:]
    assert not (operator / "node").exists()
    assert "aPasswordOfTests" not in shown


@pytest.fixture()
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_taken_ports_are_all_named(operator: Path, taken: int) -> None:
    code, shown = precheck(operator, qinling_api_port=taken, memcached_port=taken)
    assert code != 0
    assert f"port {taken} on 127.0.0.1 for qinling-api (qinling_api_port)" in shown
    assert f"port {taken} on 127.0.0.1 for memcached (memcached_port)" in shown


def test_missing_group_is_named(operator: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    host = f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}"
    inventory.write_text(f"{host}\n[control]\nlocalhost\n[etcd:children]\ncontrol\n")
    code, shown = precheck(operator, str(inventory), enable_qinling=True, enable_etcd=True)
    assert code != 0
    for group in ("qinling-api", "qinling-engine"):
        assert group in shown

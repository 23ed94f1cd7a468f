# SPDX-License-Identifier: Apache-2.0
"""Tests of all services on one host with Kolla's Docker settings: functions recover after each kind of restart."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from container_hosts import ContainerHosts
from playbook_runs import changed, play
from qinling_http import Qinling, wait_for

HOST = ContainerHosts(
    "onehost",
    ["1"],
    "198.18.252.0/24",
    Path("/var/tmp/qinling-onehost"),
    15057,
    daemons={"1": {"bridge": "none", "ip-forward": False, "iptables": False}},
)
(NAME,) = HOST.names
IMAGES = (
    "etcd", "mariadb-server", "rabbitmq", "memcached", "keystone",
    "qinling-api", "qinling-engine", "qinling-gateway", "qinling-runtime-python3",
)  # fmt: skip
SETTINGS = f"""---
enable_qinling: "yes"
enable_etcd: "yes"
docker_registry: {HOST.registry}
network_interface: eth0
kolla_internal_vip_address: {HOST.address(NAME)}
node_config: /etc/qinling.kolla/node
qinling_backing_services: [etcd, mariadb, rabbitmq, memcached, keystone]
qinling_swarm_replicas: 2
qinling_runtimes:
  - name: python3
    image: "{{{{ qinling_runtime_python3_image_full }}}}"
default_container_healthcheck_interval: 5
"""
GROUPS = ("baremetal", "mariadb", "rabbitmq", "memcached", "keystone", "etcd", "qinling-api", "qinling-engine")
INVENTORY = f"""\
{NAME} ansible_connection=community.docker.docker_api ansible_python_interpreter=/usr/bin/python3
{"".join(f"[{group}]{chr(10)}{NAME}{chr(10)}" for group in GROUPS)}"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the operator's directory of a deployment on a simulated host."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "globals.yml").write_text(SETTINGS)
    (folder / "hosts").write_text(INVENTORY)
    try:
        HOST.up((image, (HOST.tag,)) for image in IMAGES)
        for playbook in ("passwords", "deploy", "post_deploy"):
            run(folder, playbook)
        yield folder
    finally:
        HOST.down()


def run(directory: Path, playbook: str) -> str:
    """Run a playbook on the host and return its output."""
    return play(directory, f"playbooks/{playbook}.yml", inventory=str(directory / "hosts"))


@pytest.fixture(scope="module")
def function(directory: Path) -> str:
    """Return a function that has been executed."""
    qinling = Qinling(directory / "clouds.yaml")
    runtime = wait_for("runtime", lambda: available(qinling))
    created: str = qinling.create_function(runtime, "def main():\n    return 'Hello'\n")["id"]
    assert answers(directory, created)
    return created


def available(qinling: Qinling) -> str | None:
    """Return the ID of an available runtime, or None."""
    found = qinling.call("GET", "runtimes", 200)["runtimes"]
    return next((entry["id"] for entry in found if entry["status"] == "available"), None)


def answers(directory: Path, function: str) -> bool:
    """Return whether an execution succeeds; any service can still be unavailable."""
    try:
        answer = Qinling(directory / "clouds.yaml").execute(function)
    except (requests.RequestException, AssertionError):
        return False
    return answer["status"] == "success" and "Hello" in answer["result"]


def restart_docker() -> None:
    """Restart the host's dockerd."""
    HOST.restart_dockerd(NAME)


def reboot() -> None:
    """Stop and start the host."""
    HOST.reboot(NAME)


def power_off() -> None:
    """Kill the host, so that its processes cannot shut down, and start it."""
    subprocess.run(["docker", "kill", NAME], check=True, capture_output=True)
    HOST.reboot(NAME)


@pytest.mark.parametrize("restart", [restart_docker, reboot, power_off])
def test_functions_recover_without_intervention(directory: Path, function: str, restart: Callable[[], None]) -> None:
    restart()
    start = time.monotonic()
    wait_for("execution", lambda: answers(directory, function), 180)
    print(f"{restart.__name__}: answers after {time.monotonic() - start:.0f} s")
    wait_for("health of all containers", healthy, 120)
    assert changed(run(directory, "reconfigure")) == 0


def healthy() -> bool:
    """Return whether all containers of the deployment run and are healthy."""
    shown = HOST.on(NAME, "ps", "--all", "--filter", "label=qinling.kolla/deployment", "--format", "{{.Status}}")
    return len(shown.splitlines()) == 8 and all("(healthy)" in status for status in shown.splitlines())

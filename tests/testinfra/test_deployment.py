# SPDX-License-Identifier: Apache-2.0
"""What a deployment leaves on its host: containers, files, modes, secrets, and what a change touches."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

PROJECT = Path(__file__).resolve().parents[2]
BACKING = ["etcd", "mariadb", "rabbitmq", "memcached", "keystone"]
QINLING = ["qinling_api", "qinling_engine", "qinling_relay"]


@pytest.fixture(scope="module")
def operator_directory() -> Path:
    """The operator's directory of the deployment under test."""
    return Path(os.environ["KOLLA_CONFIG_DIR"])


@pytest.fixture(scope="module")
def settings(operator_directory: Path) -> dict[str, Any]:
    """What its globals.yml sets, with the paths that it derives from the directory."""
    loaded = yaml.safe_load((operator_directory / "globals.yml").read_text())
    loaded["node_config"] = str(operator_directory / "node")
    return loaded


@pytest.fixture(scope="module")
def passwords(operator_directory: Path) -> dict[str, str]:
    """The generated passwords."""
    return yaml.safe_load((operator_directory / "passwords.yml").read_text())


def inspect(host: Host, settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what Docker knows of one of the deployment's containers."""
    return json.loads(host.check_output("docker inspect %s", settings["qinling_container_prefix"] + name))[0]


@pytest.mark.parametrize("name", BACKING + QINLING)
def test_container_is_healthy_and_not_root(host: Host, settings: dict[str, Any], name: str) -> None:
    container = inspect(host, settings, name)
    assert container["State"]["Health"]["Status"] == "healthy"
    assert container["RestartCount"] == 0
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert container["Config"]["User"] not in ("", "root", "0")
    assert not container["HostConfig"]["Privileged"]
    status = host.check_output("cat /proc/%s/status", str(container["State"]["Pid"]))
    assert "Uid:\t0\t" not in status


@pytest.mark.parametrize("name", BACKING + QINLING)
def test_no_secret_where_others_can_read(
    host: Host, settings: dict[str, Any], passwords: dict[str, str], name: str
) -> None:
    """Labels, environment and command lines are open to every user who may list containers or processes."""
    shown = json.dumps(inspect(host, settings, name))
    processes = host.check_output("ps -eo args")
    for variable, secret in passwords.items():
        assert secret not in shown, variable
        assert secret not in processes, variable


def test_configuration_is_closed(host: Host, settings: dict[str, Any]) -> None:
    node = host.file(settings["node_config"])
    assert node.is_directory
    for path in host.check_output("find %s -mindepth 1 -type d", node.path).splitlines():
        assert host.file(path).mode & 0o007 == 0, path
    for path in host.check_output("find %s -type f", node.path).splitlines():
        assert host.file(path).mode == 0o600 or path.endswith(".qinling.kolla"), path


def test_passwords_are_closed(operator_directory: Path) -> None:
    for name in ("passwords.yml", "clouds.yaml", "admin-openrc.sh"):
        assert (operator_directory / name).stat().st_mode & 0o077 == 0, name


def test_configuration_in_the_containers(host: Host, settings: dict[str, Any]) -> None:
    prefix = settings["qinling_container_prefix"]
    api = host.check_output("docker exec %s cat /etc/qinling/qinling.conf", f"{prefix}qinling_api")
    engine = host.check_output("docker exec %s cat /etc/qinling/qinling.conf", f"{prefix}qinling_engine")
    assert f"port = {settings['qinling_api_port']}" in api
    for conf in (api, engine):
        assert "[etcd]" in conf
        assert f"port = {settings['etcd_client_port']}" in conf
        assert "orchestrator = swarm" in conf
    assert "[swarm]" in engine and "[swarm]" not in api
    mode = host.check_output("docker exec %s stat -c %%a:%%U /etc/qinling/qinling.conf", f"{prefix}qinling_api")
    assert mode == "600:qinling"
    # The engine never reads a policy.
    assert host.run("docker exec %s test -e /etc/qinling/policy.yaml", f"{prefix}qinling_engine").rc == 1


def test_storage_is_shared(host: Host, settings: dict[str, Any]) -> None:
    """What the API stores survives it, and is what the engine sees."""
    mounts = [
        {
            mount["Name"]
            for mount in inspect(host, settings, name)["Mounts"]
            if mount["Destination"].rstrip("/") == "/var/lib/qinling"
        }
        for name in ("qinling_api", "qinling_engine")
    ]
    assert mounts[0] == mounts[1] == {f"{settings['qinling_container_prefix']}qinling"}


def test_health_address_tells_the_truth(host: Host, settings: dict[str, Any]) -> None:
    answer = json.loads(host.check_output("curl -s http://127.0.0.1:%s/healthcheck", str(settings["qinling_api_port"])))
    assert set(answer["checks"]) >= {"database", "queue", "etcd"}


def ids(host: Host, settings: dict[str, Any]) -> dict[str, str]:
    """Return the ids of all of the deployment's containers."""
    return {name: inspect(host, settings, name)["Id"] for name in BACKING + QINLING}


def reconfigure(operator_directory: Path, *more: str) -> str:
    """Run the playbook as an operator does and return what it printed."""
    command = ["ansible-playbook", "-i", "inventory/all-in-one", "-e", f"kolla_config_dir={operator_directory}"]
    done = subprocess.run(
        [*command, *more, "playbooks/reconfigure.yml"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture()
def override(operator_directory: Path) -> Iterator[Path]:
    """An operator's file for the API alone, and his own policy; both go again."""
    folder = operator_directory / "config" / "qinling"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for file in ("qinling-api.conf", "policy.json"):
        (folder / file).unlink(missing_ok=True)
    reconfigure(operator_directory)


def test_a_change_restarts_only_what_it_concerns(
    host: Host, settings: dict[str, Any], operator_directory: Path, override: Path, passwords: dict[str, str]
) -> None:
    before = ids(host, settings)
    (override / "qinling-api.conf").write_text("[api]\napi_threads = 6\n")
    (override / "policy.json").write_text('{"runtime:create": "rule:admin_or_owner"}')

    shown = reconfigure(operator_directory, "--check", "--diff", "-vvv")
    assert "+api_threads = 6" in shown
    assert not [name for name, secret in passwords.items() if secret in shown]
    assert ids(host, settings) == before

    reconfigure(operator_directory)
    after = ids(host, settings)
    assert [name for name in before if before[name] != after[name]] == ["qinling_api"]
    policy = yaml.safe_load(
        host.check_output(
            "docker exec %s cat /etc/qinling/policy.yaml", f"{settings['qinling_container_prefix']}qinling_api"
        )
    )
    assert policy["runtime:create"] == "rule:admin_or_owner"
    # A partial policy locks nobody out: the rules that it does not name are still there.
    assert policy["runtime:delete"] == "rule:context_is_admin"


def test_a_broken_override_is_named_before_anything_changes(
    host: Host, settings: dict[str, Any], operator_directory: Path, override: Path
) -> None:
    before = ids(host, settings)
    (override / "qinling-api.conf").write_text("[api]\nno sense\n")
    (override / "policy.json").write_text('{"runtime:create": ')
    with pytest.raises(AssertionError) as caught:
        reconfigure(operator_directory)
    assert "qinling-api.conf:2" in str(caught.value)
    assert "policy.json" in str(caught.value)
    assert ids(host, settings) == before
    for file in ("qinling-api.conf", "policy.json"):
        (override / file).unlink()

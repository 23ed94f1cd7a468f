# SPDX-License-Identifier: Apache-2.0
"""Tests of a deployment on its host: containers, files, modes, secrets."""

from __future__ import annotations

import json

from deployment import Deployment
from qinling_http import wait_for
from testinfra.host import Host


def test_containers_are_healthy_and_not_root(host: Host, deployment: Deployment) -> None:
    for name in deployment.services:
        container = deployment.inspect(name)
        assert container["State"]["Health"]["Status"] == "healthy", name
        # test_survival.py kills the engine.
        assert container["RestartCount"] == 0 or name == "qinling_engine", name
        assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", name
        assert not container["HostConfig"]["Privileged"], name
        status = host.file(f"/proc/{container['State']['Pid']}/status").content_string
        assert "Uid:\t0\t" not in status, name


def test_secrets_are_not_in_labels_environment_or_command_lines(host: Host, deployment: Deployment) -> None:
    """All users who can list containers or processes can read these."""
    shown = host.check_output("ps -eo args") + "".join(
        json.dumps(deployment.inspect(name)) for name in deployment.services
    )
    assert not [variable for variable, secret in deployment.passwords.items() if secret in shown]


def test_configuration_is_not_readable_by_others(host: Host, deployment: Deployment) -> None:
    for path in host.check_output("find %s -mindepth 1 -type d", str(deployment.node_config)).splitlines():
        assert host.file(path).mode & 0o007 == 0, path
    files = host.check_output("find %s -type f", str(deployment.node_config)).splitlines()
    assert files
    assert not [path for path in files if host.file(path).mode & 0o077]


def test_credentials_are_not_readable_by_others(deployment: Deployment) -> None:
    for name in ("passwords.yml", "clouds.yaml", "admin-openrc.sh"):
        assert (deployment.directory / name).stat().st_mode & 0o077 == 0, name


def test_configuration_matches_service(host: Host, deployment: Deployment) -> None:
    api = deployment.inside("qinling_api", "cat", "/etc/qinling/qinling.conf")
    engine = deployment.inside("qinling_engine", "cat", "/etc/qinling/qinling.conf")
    assert f"port = {deployment.settings['qinling_api_port']}" in api
    orchestrator = "kubernetes" if deployment.kubernetes else "swarm"
    for conf in (api, engine):
        assert "[etcd]" in conf
        assert f"port = {deployment.settings['etcd_client_port']}" in conf
    for line in (f"orchestrator = {orchestrator}", f"[{orchestrator}]"):
        assert line in engine
        assert line not in api
    assert deployment.inside("qinling_api", "stat", "-c", "%a:%U", "/etc/qinling/qinling.conf").strip() == "600:qinling"
    # The engine does not use a policy.
    assert "policy.yaml" not in deployment.inside("qinling_engine", "ls", "/etc/qinling")


def test_storage_is_shared(deployment: Deployment) -> None:
    """API and engine mount the same volume."""
    for name in ("qinling_api", "qinling_engine"):
        mounts = {mount["Destination"].rstrip("/"): mount.get("Name") for mount in deployment.inspect(name)["Mounts"]}
        assert mounts["/var/lib/qinling"] == f"{deployment.prefix}qinling"


def test_healthcheck_reports_etcd_outage(host: Host, deployment: Deployment) -> None:
    """The API is unhealthy only while etcd is unavailable."""
    port = deployment.settings["qinling_api_port"]
    address = f"http://{deployment.api_address}:{port}/healthcheck"

    def status() -> str:
        return str(host.check_output("curl -s -o /dev/null -w %%{http_code} %s", address))

    answer = json.loads(host.check_output("curl -s %s", address))
    assert set(answer["checks"]) >= {"database", "queue", "etcd"}
    assert status() == "200"
    host.check_output("docker pause %s", f"{deployment.prefix}etcd")
    try:
        wait_for("status 503 without etcd", lambda: status() == "503", 30)
    finally:
        host.check_output("docker unpause %s", f"{deployment.prefix}etcd")
    wait_for("status 200 with etcd", lambda: status() == "200", 30)

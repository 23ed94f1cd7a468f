# SPDX-License-Identifier: Apache-2.0
"""Tests of all actions on one deployment.

Each test depends on the previous ones. The scenario's prepare.yml ran passwords, bootstrap_servers and build.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from deployment import PROJECT, Deployment, changed_tasks, run
from qinling_http import Qinling, wait_for

TAG = "2026.1-debian-trixie"
QINLING = ["qinling_api", "qinling_engine", "qinling_gateway"]
CHANGES = {
    "lifecycle-good": "LABEL lifecycle=newer",
    "lifecycle-bad": "RUN printf '#!/bin/sh\\necho this one is broken\\nexit 1\\n' > $(command -v qinling-engine)",
}
# Downgrades the database of an older Qinling: reverts the changes of migration 011.
TO_010 = """
import sqlalchemy as sa
from qinling_kolla.cmd import healthcheck as h
options = h.read_options(open(h.CONFIG_FILE).read())
with sa.create_engine(options["database", "connection"]).begin() as connection:
    connection.execute(sa.text("ALTER TABLE webhooks MODIFY function_id VARCHAR(36) NOT NULL"))
    connection.execute(sa.text("ALTER TABLE webhooks MODIFY function_version INTEGER NOT NULL"))
    connection.execute(sa.text("UPDATE alembic_version SET version_num = '010'"))
"""
UPGRADED = ("-e", "qinling_api_tag=lifecycle-good", "-e", "qinling_engine_tag=lifecycle-good")
CONFIRMED = ("-e", "qinling_destroy_confirmed=yes")
REVISION = ("qinling-db-manage", "--config-file", "/etc/qinling/qinling.conf", "check")


def containers(deployment: Deployment) -> list[str]:
    """Return the names of the deployment's containers without prefix, including stopped ones and backups."""
    names = run("docker", "ps", "--all", "--filter", f"name=^{deployment.prefix}", "--format", "{{.Names}}").split()
    return sorted(name.removeprefix(deployment.prefix) for name in names)


def written(deployment: Deployment) -> dict[str, bytes]:
    """Return the configuration files on the host, by path."""
    files = sorted(path for path in deployment.node_config.rglob("*") if path.is_file())
    return {str(path.relative_to(deployment.node_config)): path.read_bytes() for path in files}


def volumes(deployment: Deployment) -> list[str]:
    """Return the names of the deployment's volumes."""
    return run("docker", "volume", "ls", "--quiet", "--filter", f"name=^{deployment.prefix}").split()


def networks(deployment: Deployment) -> list[str]:
    """Return the names of the deployment's networks."""
    names = run("docker", "network", "ls", "--format", "{{.Name}}").split()
    return [name for name in names if name.startswith(deployment.prefix.replace("_", "-"))]


def pool_records(deployment: Deployment) -> list[str]:
    """Return the names of the Swarm configs of the deployment's functions; without a Swarm the list is empty."""
    label = f"label=qinling.kolla/instance={deployment.prefix.replace('_', '-')}qinling-functions"
    command = ["docker", "config", "ls", "--filter", label, "--format", "{{.Name}}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def descendants(process: int) -> list[int]:
    """Return the IDs of all descendants of a process."""
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [found for child in children for found in (child, *descendants(child))]


def healths(deployment: Deployment) -> set[str]:
    """Return the health statuses of the deployment's containers."""
    return {deployment.inspect(name)["State"]["Health"]["Status"] for name in deployment.services}


def play_unchanged(deployment: Deployment, playbook: str, *arguments: str) -> str:
    """Run a playbook, assert that it changes nothing, and return its output."""
    before, files = containers(deployment), written(deployment)
    ids = deployment.ids() if before else {}
    shown = deployment.play(playbook, *arguments)
    assert changed_tasks(shown) == []
    assert re.search(r"changed=0 .*failed=0", shown)
    assert (containers(deployment), written(deployment)) == (before, files)
    assert not before or deployment.ids() == ids
    return shown


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    """Build newer images, and an image of a broken engine; remove them at the end."""
    built = []
    for tag, change in CHANGES.items():
        for name in ("qinling-api", "qinling-engine")[tag == "lifecycle-bad" :]:
            file = f"FROM kolla/{name}:{TAG}\nUSER root\n{change}\nUSER qinling\n"
            command = ["docker", "build", "--quiet", "--tag", f"kolla/{name}:{tag}", "-"]
            subprocess.run(command, input=file, check=True, capture_output=True, text=True)
            built.append(f"kolla/{name}:{tag}")
    yield
    subprocess.run(["docker", "rmi", "--force", *built], check=False, capture_output=True)


def test_prechecks_and_pull_change_nothing(deployment: Deployment) -> None:
    assert containers(deployment) == []
    play_unchanged(deployment, "prechecks")
    play_unchanged(deployment, "pull")


def test_check_mode_reports_first_deploy_and_changes_nothing(deployment: Deployment) -> None:
    reported = [task for task, _host, _item in changed_tasks(deployment.play("deploy", "--check"))]
    named = [name for task in reported for name in task.partition("Containers | Run ")[2].split(", ") if name]
    assert sorted(named) == sorted(deployment.prefix + name for name in deployment.services)
    kinds = [kind for task in reported for kind in [task.partition("Resources | Apply ")[2]] if kind]
    assert kinds == ["database", "database", "keystone_service"]
    assert containers(deployment) == []
    assert written(deployment) == {}


def test_genconfig_writes_only_files(deployment: Deployment) -> None:
    deployment.play("genconfig")
    assert {"qinling-api/qinling.conf", "qinling-engine/config.json", "mariadb/my.cnf"} <= set(written(deployment))
    assert containers(deployment) == []


def test_deploy_is_idempotent(deployment: Deployment) -> None:
    files = written(deployment)
    deployment.play("deploy")
    assert containers(deployment) == sorted(deployment.services)
    assert written(deployment) == files
    for playbook in ("deploy", "deploy_containers", "reconfigure"):
        play_unchanged(deployment, playbook)
    deployment.play("post_deploy")


def test_a_new_swarm_listens_only_on_its_address() -> None:
    for port in (2377, 7946):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        # A server that listens on all addresses answers on this one too.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=10)


def test_docker_objects_have_deployment_label(deployment: Deployment) -> None:
    label = {"qinling.kolla/managed": "true", "qinling.kolla/deployment": str(deployment.directory.resolve())}
    for name in deployment.services:
        assert label.items() <= deployment.inspect(name)["Config"]["Labels"].items(), name
    for kind, names in (("volume", volumes(deployment)), ("network", networks(deployment))):
        assert names
        for found in json.loads(run("docker", kind, "inspect", *names)):
            assert label.items() <= found["Labels"].items(), found["Name"]


def test_configuration_directory_of_other_deployment_is_rejected(deployment: Deployment, tmp_path: Path) -> None:
    # The same prefix, ports and node_config.
    (tmp_path / "globals.yml").write_text(f"qinling_container_prefix: {deployment.prefix}\n")
    shutil.copy(deployment.directory / "passwords.yml", tmp_path)
    ids, files = deployment.ids(), written(deployment)
    for playbook in ("prechecks", "destroy"):
        with pytest.raises(AssertionError) as caught:
            Deployment(tmp_path).play(playbook, *CONFIRMED)
        shown = str(caught.value)
        owner = f"belong to the deployment {deployment.directory.resolve()}; "
        # The message is one line; the list in the result is folded.
        finding = max((line for line in shown.splitlines() if owner in line), key=len, default="")
        claimed = [deployment.prefix + name for name in deployment.services] + volumes(deployment)
        assert not [name for name in claimed if name not in finding], playbook
        assert "set qinling_container_prefix" in finding
    assert (deployment.ids(), written(deployment)) == (ids, files)


def test_data_is_created(deployment: Deployment) -> None:
    code = '{"source": "image", "image": "kolla/debian"}'
    Qinling(deployment.directory / "clouds.yaml").call(
        "POST", "functions", 201, files={"name": (None, "kept"), "code": (None, code)}
    )
    deployment.inside("qinling_api", "touch", "/var/lib/qinling/kept")


def test_check_reports_all_results(deployment: Deployment) -> None:
    shown = play_unchanged(deployment, "check")
    services = set(re.findall(r"^localhost +(\S+) .* (?:ok|warning|failed) ", shown, re.MULTILINE))
    assert services == {name.replace("_", "-") for name in deployment.services}
    assert " failed " not in shown
    for check in (
        *(f"qinling-api +endpoint {interface}" for interface in ("admin", "internal", "public")),
        *(f"qinling-api +{what}" for what in ("keystone", "database revision", "memcached 127.0.0.1:[0-9]+")),
        *(f"qinling-engine +{what}" for what in ("database", "queue", "etcd", "messages", "swarm")),
    ):
        assert re.search(rf"^localhost +{check} +ok ", shown, re.MULTILINE), check

    run("docker", "stop", f"{deployment.prefix}memcached")
    with pytest.raises(AssertionError) as caught:
        deployment.play("check")
    found = str(caught.value)
    assert re.search(r"^localhost +memcached +container +failed +\S+memcached is exited", found, re.MULTILINE)
    assert re.search(r"^localhost +qinling-api +memcached \S+ +failed +Connection refused", found, re.MULTILINE)
    # Failures do not prevent the other checks.
    assert re.search(r"^localhost +qinling-engine +messages +ok", found, re.MULTILINE)
    assert re.search(r"\b2 of [0-9]+ checks failed:", found)
    run("docker", "start", f"{deployment.prefix}memcached")


def play_failing(deployment: Deployment, playbook: str, *arguments: str) -> str:
    """Run a playbook, assert that it fails, and return the end of its output."""
    with pytest.raises(AssertionError) as caught:
        deployment.play(playbook, *arguments)
    return str(caught.value)


def override(deployment: Deployment, path: str, text: str) -> None:
    """Write a configuration override of the operator."""
    file = deployment.directory / "config" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def functions(deployment: Deployment) -> list[str]:
    """Return the names of the functions that Qinling lists, which requires database, Keystone and API."""
    found = Qinling(deployment.directory / "clouds.yaml").call("GET", "functions", 200)["functions"]
    return [function["name"] for function in found]


def test_reconfigure_rolls_back_invalid_configuration(deployment: Deployment) -> None:
    before, files = deployment.ids(), written(deployment)
    override(deployment, "mariadb/my.cnf", "[mariadbd]\nno_such_option = 1\n")
    shown = play_failing(deployment, "reconfigure")
    for words in (
        "The reconfigure of mariadb failed and was rolled back",
        # MariaDB's error message, without the output of the image's start script.
        "/var/log/kolla/mariadb/mariadb.log in the volume",
        "unknown variable 'no_such_option=1'",
        f"{deployment.prefix}mariadb, image kolla/mariadb-server:{TAG}: healthy",
    ):
        assert words in shown, words
    assert "Setting permission" not in shown
    assert not [name for name, secret in deployment.passwords.items() if secret in shown]
    # The same containers with their previous configuration.
    assert (deployment.ids(), written(deployment)) == (before, files)
    assert containers(deployment) == sorted(deployment.services)
    assert functions(deployment) == ["kept"]


def test_reconfigure_rolls_back_only_failed_project(deployment: Deployment) -> None:
    before = deployment.ids()
    override(deployment, "mariadb/my.cnf", "[mariadbd]\nmax_connections = 300\n")
    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\ntransport_url = nosuch://localhost\n")
    # The engine retries without exiting, so the run fails after the timeout.
    shown = play_failing(deployment, "reconfigure", "-e", "qinling_container_wait=15")
    for words in (
        "The reconfigure of qinling failed and was rolled back",
        "Could not load nosuch",
        f"{deployment.prefix}qinling_engine, image kolla/qinling-engine:{TAG}: healthy",
    ):
        assert words in shown, words
    after = deployment.ids()
    assert {name for name in before if before[name] != after[name]} == {"mariadb"}
    assert containers(deployment) == sorted(deployment.services)
    assert functions(deployment) == ["kept"]

    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\nrpc_response_timeout = 59\n")
    deployment.play("reconfigure")
    corrected = deployment.ids()
    assert {name for name in after if after[name] != corrected[name]} == {"qinling_engine"}
    play_unchanged(deployment, "reconfigure")


def test_reconfigure_continues_interrupted_run(deployment: Deployment) -> None:
    # The state after a run that was killed once it had stopped and renamed the previous container.
    name, node = f"{deployment.prefix}memcached", deployment.node_config
    files = written(deployment)
    run("cp", "-a", str(node / "memcached"), str(node / ".backup-memcached"))
    run("docker", "stop", name)
    run("docker", "rename", name, f"{name}_backup")
    deployment.play("reconfigure")
    assert (containers(deployment), written(deployment)) == (sorted(deployment.services), files)
    play_unchanged(deployment, "reconfigure")


def test_gateway_stays_connected(deployment: Deployment) -> None:
    """A removed network is recreated, and the gateway is connected to a recreated network even if the run fails."""
    network, gateway = f"{deployment.prefix.replace('_', '-')}qinling-gateway", f"{deployment.prefix}qinling_gateway"
    run("docker", "network", "disconnect", "--force", network, gateway)
    run("docker", "network", "rm", network)
    deployment.play("reconfigure")
    wait_for_gateway(deployment)

    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\ntransport_url = nosuch://localhost\n")
    shown = play_failing(
        deployment,
        "reconfigure",
        "-e",
        "qinling_gateway_network_subnet=10.213.7.0/24",
        "-e",
        "qinling_container_wait=15",
    )
    assert "The reconfigure of qinling failed and was rolled back" in shown
    assert run("docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network) == "10.213.7.0/24\n"
    wait_for_gateway(deployment)

    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\nrpc_response_timeout = 59\n")
    play_unchanged(deployment, "reconfigure")


def test_gateway_of_earlier_name_is_replaced(deployment: Deployment) -> None:
    """The container, the configuration and the network of qinling_relay give way to those of qinling_gateway."""
    earlier, network = f"{deployment.prefix}qinling_relay", f"{deployment.prefix.replace('_', '-')}qinling-relay"
    port, image = deployment.settings["qinling_gateway_port"], deployment.inspect("qinling_gateway")["Config"]["Image"]
    labels = ["qinling.kolla/managed=true", f"qinling.kolla/deployment={deployment.directory.resolve()}"]
    run("docker", "rm", "--force", f"{deployment.prefix}qinling_gateway")
    run("docker", "network", "create", network)
    run(
        *("docker", "run", "--detach", "--name", earlier, "--network", network, "--entrypoint", "sleep"),
        *(option for label in labels for option in ("--label", label)),
        *("--publish", f"127.0.0.1:{port}:{port}", image, "infinity"),
    )
    shutil.copytree(deployment.node_config / "qinling-gateway", deployment.node_config / "qinling-relay")
    deployment.play("reconfigure")
    assert containers(deployment) == sorted(deployment.services)
    assert network not in networks(deployment)
    assert not (deployment.node_config / "qinling-relay").exists()
    wait_for_gateway(deployment)
    play_unchanged(deployment, "reconfigure")


def wait_for_gateway(deployment: Deployment) -> None:
    """Wait until the gateway accepts requests of the engine's host."""
    address = f"http://127.0.0.1:{deployment.settings['qinling_gateway_port']}/health"

    def status() -> int:
        try:
            return requests.get(address, timeout=5).status_code
        except requests.RequestException:
            return 0

    wait_for("response of the gateway", lambda: status() == 200)


def test_upgrade_migrates_database_and_replaces_containers(deployment: Deployment) -> None:
    deployment.inside("qinling_api", "python", "-c", TO_010)
    before = deployment.ids()
    deployment.play("upgrade", *UPGRADED)
    after = deployment.ids()
    assert {name for name in before if before[name] != after[name]} == {"qinling_api", "qinling_engine"}
    assert containers(deployment) == sorted(deployment.services)
    for name in ("qinling_api", "qinling_engine"):
        assert deployment.inspect(name)["Config"]["Labels"]["lifecycle"] == "newer"
    assert "revision 011" in deployment.inside("qinling_api", *REVISION)


def test_failed_upgrade_is_rolled_back(deployment: Deployment) -> None:
    before, files = deployment.ids(), written(deployment)
    settings = ["qinling_engine_tag=lifecycle-bad", "qinling_api_threads=9"]
    with pytest.raises(AssertionError) as caught:
        deployment.play("upgrade", *(argument for setting in settings for argument in ("-e", setting)))
    shown = str(caught.value)
    for words in (
        "The upgrade of qinling failed and was rolled back",
        "this one is broken",
        f"{deployment.prefix}qinling_engine, image kolla/qinling-engine:lifecycle-good: healthy",
        "The database needed no migration and was not changed",
    ):
        assert words in shown, words
    # The same containers with their previous configuration.
    assert deployment.ids() == before
    assert written(deployment) == files
    assert containers(deployment) == sorted(deployment.services)
    # The run waits for the service; Docker's first health check is one interval after the start.
    wait_for(
        "Docker's health check", lambda: deployment.inspect("qinling_engine")["State"]["Health"]["Status"] == "healthy"
    )


def test_stop_is_idempotent_and_deploy_starts_containers(deployment: Deployment) -> None:
    deployment.play("stop")
    assert {deployment.inspect(name)["State"]["Status"] for name in deployment.services} == {"exited"}
    play_unchanged(deployment, "stop")
    deployment.play("deploy", *UPGRADED)
    # The run waits for the services; Docker's first health check is one interval after the start.
    wait_for("Docker's health checks", lambda: healths(deployment) == {"healthy"})


def test_destroy_can_keep_data(deployment: Deployment) -> None:
    shown = deployment.play("destroy", "-e", "qinling_destroy_confirmed=yes", "-e", "qinling_destroy_keep_data=true")
    assert "Kept for the next deploy: " in shown
    assert f"{deployment.prefix}mariadb, {deployment.prefix}qinling" in shown
    assert (containers(deployment), written(deployment)) == ([], {})
    # Without Docker's health checks the run waits for the services itself.
    deployment.play("deploy", "-e", "enable_container_healthchecks=no")
    assert functions(deployment) == ["kept"]
    assert "Health" not in deployment.inspect("qinling_engine")["State"]
    deployment.inside("qinling_api", "test", "-e", "/var/lib/qinling/kept")


def test_destroy_with_tags_retains_shared_volumes(deployment: Deployment) -> None:
    remaining = [name for name in containers(deployment) if name != "memcached"]
    shown = deployment.play("destroy", *CONFIRMED, "--tags", "memcached")
    assert containers(deployment) == remaining
    logs = f"{deployment.prefix}kolla_logs"
    assert f"volume {logs} (used by {deployment.prefix}" in " ".join(shown.split())
    assert logs in volumes(deployment)


def test_destroy_requires_confirmation_and_removes_everything(deployment: Deployment) -> None:
    before = containers(deployment)
    with pytest.raises(AssertionError, match="nothing was removed, because destroy was not confirmed"):
        deployment.play("destroy", "-e", "qinling_destroy_confirmed=no")
    with pytest.raises(AssertionError, match="nothing was removed, because destroy was not confirmed"):
        deployment.play("site", "-e", "kolla_action=destroy")
    assert containers(deployment) == before
    # The record of an engine's pool, and a log collector that uses the volume of the logs.
    network, logs = networks(deployment)[0], f"{deployment.prefix}kolla_logs"
    label = f"qinling.kolla/instance={network}"
    subprocess.run(["docker", "config", "create", "--label", label, "lifecycle-pool", "-"], input=b"key", check=True)
    assert "lifecycle-pool" in pool_records(deployment)
    run("docker", "create", "--name", "lifecycle-collector", "--volume", f"{logs}:/logs", f"kolla/debian:{TAG}")
    # An operator's volume, mounted into a service.
    run("docker", "volume", "create", "lifecycle-customer-data")
    extra_volume = ("-e", '{"memcached_extra_volumes": ["lifecycle-customer-data:/data"]}')
    try:
        shown = " ".join(deployment.play("destroy", *CONFIRMED, *extra_volume).split())
        assert f"volume {logs} (used by lifecycle-collector)" in shown
        assert "volume lifecycle-customer-data (only in *_extra_volumes)" in shown
        assert (containers(deployment), written(deployment), volumes(deployment)) == ([], {}, [logs])
        assert (networks(deployment), pool_records(deployment)) == ([], [])
        play_unchanged(deployment, "destroy", *CONFIRMED)
    finally:
        run("docker", "rm", "--force", "lifecycle-collector")
        # Fails if destroy has removed the volume.
        run("docker", "volume", "rm", "lifecycle-customer-data")


def test_destroy_after_interrupted_deploy_removes_everything(deployment: Deployment) -> None:
    command = ["ansible-playbook", "-i", "inventory/all-in-one", "-e", f"kolla_config_dir={deployment.directory}"]
    deploy = subprocess.Popen([*command, "playbooks/deploy.yml"], cwd=PROJECT, stdout=subprocess.DEVNULL)
    try:
        wait_for("bootstrap of Keystone", lambda: "bootstrap_keystone" in containers(deployment), 300)
        # Ansible's workers are not in its process group.
        for process in [deploy.pid, *descendants(deploy.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    finally:
        deploy.kill()
        deploy.wait()
    assert volumes(deployment)
    deployment.play("destroy", *CONFIRMED)
    assert (containers(deployment), written(deployment)) == ([], {})
    assert (volumes(deployment), networks(deployment)) == ([], [])
    play_unchanged(deployment, "destroy", *CONFIRMED)

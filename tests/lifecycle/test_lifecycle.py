# SPDX-License-Identifier: Apache-2.0
"""Every action in the order of an operator's day. Each test builds on the one before; the scenario's preparation ran
passwords, bootstrap_servers and build.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from deployment import PROJECT, Deployment, changed_tasks, run
from qinling_http import Qinling, wait_for

TAG = "2026.1-debian-trixie"
QINLING = ["qinling_api", "qinling_engine", "qinling_relay"]
CHANGES = {
    "lifecycle-good": "LABEL lifecycle=newer",
    "lifecycle-bad": "RUN printf '#!/bin/sh\\necho this one is broken\\nexit 1\\n' > $(command -v qinling-engine)",
}
# As an older Qinling left it: what migration 011 changes is not yet so.
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
    """The names of the deployment's containers, without prefix, stopped ones and those put aside too."""
    names = run("docker", "ps", "--all", "--filter", f"name=^{deployment.prefix}", "--format", "{{.Names}}").split()
    return sorted(name.removeprefix(deployment.prefix) for name in names)


def written(deployment: Deployment) -> dict[str, bytes]:
    """The configuration on the host, by path."""
    files = sorted(path for path in deployment.node_config.rglob("*") if path.is_file())
    return {str(path.relative_to(deployment.node_config)): path.read_bytes() for path in files}


def volumes(deployment: Deployment) -> list[str]:
    """The names of the deployment's volumes."""
    return run("docker", "volume", "ls", "--quiet", "--filter", f"name=^{deployment.prefix}").split()


def networks(deployment: Deployment) -> list[str]:
    """The names of the deployment's networks."""
    names = run("docker", "network", "ls", "--format", "{{.Name}}").split()
    return [name for name in names if name.startswith(deployment.prefix.replace("_", "-"))]


def pool_records(deployment: Deployment) -> list[str]:
    """The names of the Swarm configs of the deployment's functions; none where there is no Swarm any more."""
    label = f"label=qinling.kolla/instance={deployment.prefix.replace('_', '-')}qinling-functions"
    command = ["docker", "config", "ls", "--filter", label, "--format", "{{.Name}}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def descendants(process: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [found for child in children for found in (child, *descendants(child))]


def healths(deployment: Deployment) -> set[str]:
    """What Docker says of the containers' health."""
    return {deployment.inspect(name)["State"]["Health"]["Status"] for name in deployment.services}


def nothing_changes(deployment: Deployment, playbook: str, *arguments: str) -> str:
    """Run a playbook that has nothing to do; return what it printed."""
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
    """Images that differ from the present ones: newer ones, and an engine that ends at once. Gone afterwards."""
    made = []
    for tag, change in CHANGES.items():
        for name in ("qinling-api", "qinling-engine")[tag == "lifecycle-bad" :]:
            file = f"FROM kolla/{name}:{TAG}\nUSER root\n{change}\nUSER qinling\n"
            command = ["docker", "build", "--quiet", "--tag", f"kolla/{name}:{tag}", "-"]
            subprocess.run(command, input=file, check=True, capture_output=True, text=True)
            made.append(f"kolla/{name}:{tag}")
    yield
    subprocess.run(["docker", "rmi", "--force", *made], check=False, capture_output=True)


def test_prechecks_and_pull(deployment: Deployment) -> None:
    assert containers(deployment) == []
    nothing_changes(deployment, "prechecks")
    nothing_changes(deployment, "pull")


def test_check_mode_foretells_a_first_deploy_and_makes_nothing(deployment: Deployment) -> None:
    foretold = [task for task, _host, _item in changed_tasks(deployment.play("deploy", "--check"))]
    named = [name for task in foretold for name in task.partition("Containers | Run ")[2].split(", ") if name]
    assert sorted(named) == sorted(deployment.prefix + name for name in deployment.services)
    kinds = [kind for task in foretold for kind in [task.partition("Resources | Apply ")[2]] if kind]
    assert kinds == ["database", "database", "keystone_service"]
    assert containers(deployment) == []
    assert written(deployment) == {}


def test_genconfig_writes_files_alone(deployment: Deployment) -> None:
    deployment.play("genconfig")
    assert {"qinling-api/qinling.conf", "qinling-engine/config.json", "mariadb/my.cnf"} <= set(written(deployment))
    assert containers(deployment) == []


def test_deploy_and_again(deployment: Deployment) -> None:
    files = written(deployment)
    deployment.play("deploy")
    assert containers(deployment) == sorted(deployment.services)
    assert written(deployment) == files
    for playbook in ("deploy", "deploy_containers", "reconfigure"):
        nothing_changes(deployment, playbook)
    deployment.play("post_deploy")


def test_what_is_created_has_the_deployment_s_label(deployment: Deployment) -> None:
    label = {"qinling.kolla/managed": "true", "qinling.kolla/deployment": str(deployment.directory.resolve())}
    for name in deployment.services:
        assert label.items() <= deployment.inspect(name)["Config"]["Labels"].items(), name
    for kind, names in (("volume", volumes(deployment)), ("network", networks(deployment))):
        assert names
        for found in json.loads(run("docker", kind, "inspect", *names)):
            assert label.items() <= found["Labels"].items(), found["Name"]


def test_another_operator_s_directory_stops_before_anything_is_touched(deployment: Deployment, tmp_path: Path) -> None:
    # Nothing of its own: no prefix that differs, no ports, no node_config.
    (tmp_path / "globals.yml").write_text(f"qinling_container_prefix: {deployment.prefix}\n")
    shutil.copy(deployment.directory / "passwords.yml", tmp_path)
    ids, files = deployment.ids(), written(deployment)
    for playbook in ("prechecks", "destroy"):
        with pytest.raises(AssertionError) as caught:
            Deployment(tmp_path).play(playbook, *CONFIRMED)
        shown = str(caught.value)
        owner = f"belong to the deployment of {deployment.directory.resolve()}, "
        # The message has it in one line, the result's list folds it.
        finding = max((line for line in shown.splitlines() if owner in line), key=len, default="")
        claimed = [deployment.prefix + name for name in deployment.services] + volumes(deployment)
        assert not [name for name in claimed if name not in finding], playbook
        assert "set qinling_container_prefix" in finding
    assert (deployment.ids(), written(deployment)) == (ids, files)


def test_data_is_there(deployment: Deployment) -> None:
    code = '{"source": "image", "image": "kolla/debian"}'
    Qinling(deployment.directory / "clouds.yaml").call(
        "POST", "functions", 201, files={"name": (None, "kept"), "code": (None, code)}
    )
    deployment.inside("qinling_api", "touch", "/var/lib/qinling/kept")


def test_check_tells_all_and_finds_what_is_wrong(deployment: Deployment) -> None:
    shown = nothing_changes(deployment, "check")
    services = set(re.findall(r"^localhost +(\S+) .* (?:ok|warning|WRONG) ", shown, re.MULTILINE))
    assert services == {name.replace("_", "-") for name in deployment.services}
    assert "WRONG" not in shown
    for look in (
        *(f"qinling-api +endpoint {interface}" for interface in ("admin", "internal", "public")),
        *(f"qinling-api +{what}" for what in ("keystone", "database revision", "memcached 127.0.0.1:[0-9]+")),
        *(f"qinling-engine +{what}" for what in ("database", "queue", "etcd", "messages", "swarm")),
    ):
        assert re.search(rf"^localhost +{look} +ok ", shown, re.MULTILINE), look

    run("docker", "stop", f"{deployment.prefix}memcached")
    with pytest.raises(AssertionError) as caught:
        deployment.play("check")
    found = str(caught.value)
    assert re.search(r"^localhost +memcached +container +WRONG +\S+memcached is exited", found, re.MULTILINE)
    assert re.search(r"^localhost +qinling-api +memcached \S+ +WRONG +Connection refused", found, re.MULTILINE)
    # Whatever is wrong, all the rest is looked at.
    assert re.search(r"^localhost +qinling-engine +messages +ok", found, re.MULTILINE)
    assert "check found 2 of " in found
    run("docker", "start", f"{deployment.prefix}memcached")


def fails(deployment: Deployment, playbook: str, *arguments: str) -> str:
    """Run a playbook that has to fail; return the end of what it printed."""
    with pytest.raises(AssertionError) as caught:
        deployment.play(playbook, *arguments)
    return str(caught.value)


def override(deployment: Deployment, path: str, text: str) -> None:
    """Write a file of the operator's that is merged over the templates."""
    file = deployment.directory / "config" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def functions(deployment: Deployment) -> list[str]:
    """Return the functions that Qinling lists, with the database's, Keystone's and the API's help."""
    found = Qinling(deployment.directory / "clouds.yaml").call("GET", "functions", 200)["functions"]
    return [function["name"] for function in found]


def test_reconfigure_rolls_back_what_refuses_its_configuration(deployment: Deployment) -> None:
    before, files = deployment.ids(), written(deployment)
    override(deployment, "mariadb/my.cnf", "[mariadbd]\nno_such_option = 1\n")
    shown = fails(deployment, "reconfigure")
    for words in (
        "The reconfigure of mariadb failed and was rolled back",
        # MariaDB's own reason, and nothing of the image's start around it.
        "/var/log/kolla/mariadb/mariadb.log in the volume",
        "unknown variable 'no_such_option=1'",
        f"{deployment.prefix}mariadb, image kolla/mariadb-server:{TAG}: healthy",
    ):
        assert words in shown, words
    assert "Setting permission" not in shown
    assert not [name for name, secret in deployment.passwords.items() if secret in shown]
    # The very same containers, with the configuration that they had.
    assert (deployment.ids(), written(deployment)) == (before, files)
    assert containers(deployment) == sorted(deployment.services)
    assert functions(deployment) == ["kept"]


def test_reconfigure_rolls_back_one_project_and_keeps_the_others(deployment: Deployment) -> None:
    before = deployment.ids()
    override(deployment, "mariadb/my.cnf", "[mariadbd]\nmax_connections = 300\n")
    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\ntransport_url = nosuch://localhost\n")
    # The engine does not end, but tries again and again: it is given up after these seconds.
    shown = fails(deployment, "reconfigure", "-e", "qinling_container_wait=15")
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
    nothing_changes(deployment, "reconfigure")


def test_reconfigure_continues_one_that_was_interrupted(deployment: Deployment) -> None:
    # As a run leaves it that is killed after it stopped and renamed the earlier container.
    name, node = f"{deployment.prefix}memcached", deployment.node_config
    files = written(deployment)
    run("cp", "-a", str(node / "memcached"), str(node / ".backup-memcached"))
    run("docker", "stop", name)
    run("docker", "rename", name, f"{name}_backup")
    deployment.play("reconfigure")
    assert (containers(deployment), written(deployment)) == (sorted(deployment.services), files)
    nothing_changes(deployment, "reconfigure")


def test_the_relay_stays_in_a_network(deployment: Deployment) -> None:
    """A network removed by hand is created again; the relay is connected to a recreated one even if the run fails."""
    network, relay = f"{deployment.prefix.replace('_', '-')}qinling-relay", f"{deployment.prefix}qinling_relay"
    run("docker", "network", "disconnect", "--force", network, relay)
    run("docker", "network", "rm", network)
    deployment.play("reconfigure")
    relay_answers(deployment)

    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\ntransport_url = nosuch://localhost\n")
    shown = fails(
        deployment, "reconfigure", "-e", "qinling_relay_network_subnet=10.213.7.0/24", "-e", "qinling_container_wait=15"
    )
    assert "The reconfigure of qinling failed and was rolled back" in shown
    assert run("docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network) == "10.213.7.0/24\n"
    relay_answers(deployment)

    override(deployment, "qinling/qinling-engine.conf", "[DEFAULT]\nrpc_response_timeout = 59\n")
    nothing_changes(deployment, "reconfigure")


def relay_answers(deployment: Deployment) -> None:
    """See that the engine's host reaches the relay, which takes it for that."""
    address = f"http://127.0.0.1:{deployment.settings['qinling_relay_port']}/health"

    def status() -> int:
        try:
            return requests.get(address, timeout=5).status_code
        except requests.RequestException:
            return 0

    wait_for("the relay's answer", lambda: status() == 200)


def test_upgrade_migrates_and_replaces(deployment: Deployment) -> None:
    deployment.inside("qinling_api", "python", "-c", TO_010)
    before = deployment.ids()
    deployment.play("upgrade", *UPGRADED)
    after = deployment.ids()
    assert {name for name in before if before[name] != after[name]} == {"qinling_api", "qinling_engine"}
    assert containers(deployment) == sorted(deployment.services)
    for name in ("qinling_api", "qinling_engine"):
        assert deployment.inspect(name)["Config"]["Labels"]["lifecycle"] == "newer"
    assert "revision 011" in deployment.inside("qinling_api", *REVISION)


def test_upgrade_goes_back_where_the_new_one_fails(deployment: Deployment) -> None:
    before, files = deployment.ids(), written(deployment)
    settings = ["qinling_engine_tag=lifecycle-bad", "qinling_api_threads=9"]
    with pytest.raises(AssertionError) as caught:
        deployment.play("upgrade", *(argument for setting in settings for argument in ("-e", setting)))
    shown = str(caught.value)
    for words in (
        "The upgrade of qinling failed and was rolled back",
        "this one is broken",
        f"{deployment.prefix}qinling_engine, image kolla/qinling-engine:lifecycle-good: healthy",
        "The database needed no migration, and is as it was",
    ):
        assert words in shown, words
    # The very same containers, with the configuration that they had.
    assert deployment.ids() == before
    assert written(deployment) == files
    assert containers(deployment) == sorted(deployment.services)
    # It answered when the run ended; Docker's own check comes an interval after a start.
    wait_for(
        "Docker's own check", lambda: deployment.inspect("qinling_engine")["State"]["Health"]["Status"] == "healthy"
    )


def test_stop_twice_and_deploy_brings_it_back(deployment: Deployment) -> None:
    deployment.play("stop")
    assert {deployment.inspect(name)["State"]["Status"] for name in deployment.services} == {"exited"}
    nothing_changes(deployment, "stop")
    deployment.play("deploy", *UPGRADED)
    # All answered when the run ended; Docker itself has its first look an interval after a start.
    wait_for("Docker's own looks", lambda: healths(deployment) == {"healthy"})


def test_destroy_can_keep_data(deployment: Deployment) -> None:
    shown = deployment.play("destroy", "-e", "qinling_destroy_confirmed=yes", "-e", "qinling_destroy_keep_data=true")
    assert "Kept for the next deploy: " in shown
    assert f"{deployment.prefix}mariadb, {deployment.prefix}qinling" in shown
    assert (containers(deployment), written(deployment)) == ([], {})
    # Docker checks nothing then; the run itself has waited all the same.
    deployment.play("deploy", "-e", "enable_container_healthchecks=no")
    assert functions(deployment) == ["kept"]
    assert "Health" not in deployment.inspect("qinling_engine")["State"]
    deployment.inside("qinling_api", "test", "-e", "/var/lib/qinling/kept")


def test_destroy_with_tags_leaves_what_other_services_use(deployment: Deployment) -> None:
    others = [name for name in containers(deployment) if name != "memcached"]
    shown = deployment.play("destroy", *CONFIRMED, "--tags", "memcached")
    assert containers(deployment) == others
    logs = f"{deployment.prefix}kolla_logs"
    assert f"volume {logs} (used by {deployment.prefix}" in " ".join(shown.split())
    assert logs in volumes(deployment)


def test_destroy_asks_and_leaves_nothing(deployment: Deployment) -> None:
    before = containers(deployment)
    with pytest.raises(AssertionError, match="nothing was removed, as that was not confirmed"):
        deployment.play("destroy", "-e", "qinling_destroy_confirmed=no")
    with pytest.raises(AssertionError, match="nothing was removed, as that was not confirmed"):
        deployment.play("site", "-e", "kolla_action=destroy")
    assert containers(deployment) == before
    # As an engine records a runtime's pool, and as a Kolla cloud's log collector uses the logs.
    network, logs = networks(deployment)[0], f"{deployment.prefix}kolla_logs"
    label = f"qinling.kolla/instance={network}"
    subprocess.run(["docker", "config", "create", "--label", label, "lifecycle-pool", "-"], input=b"key", check=True)
    assert "lifecycle-pool" in pool_records(deployment)
    run("docker", "create", "--name", "lifecycle-collector", "--volume", f"{logs}:/logs", f"kolla/debian:{TAG}")
    # As an operator lends his own volume to a service.
    run("docker", "volume", "create", "lifecycle-customer-data")
    lent = ("-e", '{"memcached_extra_volumes": ["lifecycle-customer-data:/data"]}')
    try:
        shown = " ".join(deployment.play("destroy", *CONFIRMED, *lent).split())
        assert f"volume {logs} (used by lifecycle-collector)" in shown
        assert "volume lifecycle-customer-data (only in *_extra_volumes)" in shown
        assert (containers(deployment), written(deployment), volumes(deployment)) == ([], {}, [logs])
        assert (networks(deployment), pool_records(deployment)) == ([], [])
        nothing_changes(deployment, "destroy", *CONFIRMED)
    finally:
        run("docker", "rm", "--force", "lifecycle-collector")
        # Fails where destroy has removed it.
        run("docker", "volume", "rm", "lifecycle-customer-data")


def test_destroy_after_an_interrupted_deploy_leaves_nothing(deployment: Deployment) -> None:
    command = ["ansible-playbook", "-i", "inventory/all-in-one", "-e", f"kolla_config_dir={deployment.directory}"]
    deploy = subprocess.Popen([*command, "playbooks/deploy.yml"], cwd=PROJECT, stdout=subprocess.DEVNULL)
    try:
        wait_for("Keystone's bootstrap", lambda: "bootstrap_keystone" in containers(deployment), 300)
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
    nothing_changes(deployment, "destroy", *CONFIRMED)

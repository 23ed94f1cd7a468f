# SPDX-License-Identifier: Apache-2.0
"""A deployment stays as it is, whichever of the supported ansible-core runs over it: no container is recreated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import environments
import pytest
from deployment import run
from playbook_runs import PINNED, changed, play

PREFIX = "versions_"
SETTINGS = f"""---
qinling_container_prefix: {PREFIX}
node_config: "{{{{ kolla_config_dir }}}}/node"
database_port: 25306
rabbitmq_port: 25673
rabbitmq_cluster_port: 25672
rabbitmq_epmd_port: 25369
memcached_port: 25211
etcd_client_port: 25379
etcd_peer_port: 25380
keystone_public_port: 25500
qinling_api_port: 25070
qinling_relay_port: 25071
qinling_swarm_replicas: 1
default_container_healthcheck_interval: 5
# Templates whose results are numbers since ansible-core 2.19, and text before.
default_container_healthcheck_retries: "{{{{ 2 + 2 }}}}"
docker_graceful_timeout: "{{{{ 6 * 5 }}}}"
docker_common_labels: {{rack: "{{{{ 3 + 4 }}}}"}}
qinling_container_environment: {{RACK: "{{{{ 3 + 4 }}}}"}}
default_container_dimensions: {{cpu_shares: "{{{{ 2 ** 9 }}}}"}}
"""
# The pinned one deployed it, and takes it back at the end.
VERSIONS = [*environments.VERSIONS, PINNED]


def containers() -> dict[str, str]:
    """Return the IDs of the deployment's containers by name."""
    lines = run("docker", "ps", "--all", "--no-trunc", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}} {{.ID}}")
    return dict(line.split() for line in lines.splitlines())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The operator's directory of a deployment that the pinned ansible-core makes."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "globals.yml").write_text(SETTINGS)
    play(folder, "playbooks/passwords.yml")
    try:
        play(folder, "playbooks/deploy.yml")
        yield folder
    finally:
        play(folder, "playbooks/destroy.yml", "-e", "qinling_destroy_confirmed=yes")


@pytest.mark.parametrize("version", VERSIONS)
def test_reconfigure_changes_nothing(directory: Path, version: str) -> None:
    before = containers()
    shown = play(directory, "playbooks/reconfigure.yml", "--diff", version=version)
    assert changed(shown) == 0, shown[-8000:]
    assert containers() == before


@pytest.mark.parametrize("version", VERSIONS)
def test_stopped_containers_are_started_and_not_recreated(directory: Path, version: str) -> None:
    """What the Docker module compares is the same as well: it is asked, since not all is up to date."""
    before = containers()
    run("docker", "stop", *(name for name in before if name.startswith(PREFIX)))
    play(directory, "playbooks/reconfigure.yml", version=version)
    assert containers() == before

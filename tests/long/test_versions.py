# SPDX-License-Identifier: Apache-2.0
"""Tests that no supported ansible-core version changes an existing deployment."""

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
qinling_gateway_port: 25071
qinling_swarm_replicas: 1
default_container_healthcheck_interval: 5
# Templates that evaluate to numbers since ansible-core 2.19, and to strings before.
default_container_healthcheck_retries: "{{{{ 2 + 2 }}}}"
docker_graceful_timeout: "{{{{ 6 * 5 }}}}"
docker_common_labels: {{rack: "{{{{ 3 + 4 }}}}"}}
qinling_container_environment: {{RACK: "{{{{ 3 + 4 }}}}"}}
default_container_dimensions: {{cpu_shares: "{{{{ 2 ** 9 }}}}"}}
"""
# The pinned version deploys, and is tested again after the others.
VERSIONS = [*(version for version in environments.VERSIONS if version != PINNED), PINNED]


def containers() -> dict[str, str]:
    """Return the IDs of the deployment's containers by name."""
    lines = run("docker", "ps", "--all", "--no-trunc", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}} {{.ID}}")
    return dict(line.split() for line in lines.splitlines())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the operator's directory of a deployment by the pinned ansible-core."""
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
def test_stopped_containers_are_not_recreated(directory: Path, version: str) -> None:
    """Stopped containers make the run use the Docker module, whose comparison must not find differences either."""
    before = containers()
    run("docker", "stop", *(name for name in before if name.startswith(PREFIX)))
    play(directory, "playbooks/reconfigure.yml", version=version)
    assert containers() == before

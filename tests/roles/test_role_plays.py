# SPDX-License-Identifier: Apache-2.0
"""Tests of an operator's plays that use the roles directly, after the deployment."""

from __future__ import annotations

import re

from deployment import Deployment
from watch import PLAYS, Watch


def changed(shown: str) -> int:
    """Return the number of changed tasks in the output of a run; fail if it contains no recap."""
    counts = re.findall(r"changed=(\d+)", shown)
    assert counts, shown[-2000:]
    return sum(map(int, counts))


def test_second_run_changes_nothing(deployment: Deployment, watch: Watch) -> None:
    before = deployment.ids()
    assert changed(watch.play(PLAYS, "-e", "kolla_action=reconfigure")) == 0
    assert deployment.ids() == before


def test_playbook_of_collection_changes_nothing(deployment: Deployment, watch: Watch) -> None:
    """Roles and playbooks deploy the same."""
    before = deployment.ids()
    assert changed(watch.play("playbooks/deploy.yml")) == 0
    assert deployment.ids() == before


def test_check_covers_all_services(deployment: Deployment, watch: Watch) -> None:
    shown = watch.play(PLAYS, "-e", "kolla_action=check")
    for container in ("etcd", "memcached", "mariadb", "rabbitmq", "keystone", "qinling_api", "qinling_engine"):
        assert f"{deployment.prefix}{container} runs, is healthy" in shown, container


def test_option_recreates_one_container(deployment: Deployment, watch: Watch) -> None:
    before = deployment.ids()
    watch.play(PLAYS, "-e", "kolla_action=reconfigure", "-e", "qinling_api_threads=16")
    after = deployment.ids()
    assert [name for name in before if before[name] != after[name]] == ["qinling_api"]

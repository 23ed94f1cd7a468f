# SPDX-License-Identifier: Apache-2.0
"""Plays of an operator's own after the deployment: nothing to do, something to do, and what is wrong."""

from __future__ import annotations

import re

from deployment import Deployment
from watch import PLAYS, Watch


def changed(shown: str) -> int:
    """Return the number of changed tasks in what a run printed; fail where it shows no hosts."""
    counts = re.findall(r"changed=(\d+)", shown)
    assert counts, shown[-2000:]
    return sum(map(int, counts))


def test_a_second_run_changes_nothing(deployment: Deployment, watch: Watch) -> None:
    before = deployment.ids()
    assert changed(watch.play(PLAYS, "-e", "kolla_action=reconfigure")) == 0
    assert deployment.ids() == before


def test_a_playbook_of_the_collection_finds_nothing_to_do(deployment: Deployment, watch: Watch) -> None:
    """The roles deploy what the playbooks deploy."""
    before = deployment.ids()
    assert changed(watch.play("playbooks/deploy.yml")) == 0
    assert deployment.ids() == before


def test_all_services_are_checked(deployment: Deployment, watch: Watch) -> None:
    shown = watch.play(PLAYS, "-e", "kolla_action=check")
    for container in ("etcd", "memcached", "mariadb", "rabbitmq", "keystone", "qinling_api", "qinling_engine"):
        assert f"{deployment.prefix}{container} runs, is healthy" in shown, container


def test_one_option_replaces_one_container(deployment: Deployment, watch: Watch) -> None:
    before = deployment.ids()
    watch.play(PLAYS, "-e", "kolla_action=reconfigure", "-e", "qinling_api_threads=16")
    after = deployment.ids()
    assert [name for name in before if before[name] != after[name]] == ["qinling_api"]

# SPDX-License-Identifier: Apache-2.0
"""--tags and --skip-tags select services, as in Kolla; tags that select nothing are refused before any change."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_directory import play
from test_bad_input import make, password

KNOWN = "etcd, memcached, mariadb, rabbitmq, keystone, loadbalancer, haproxy, proxysql, qinling"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An operator's directory in which something is wrong with Qinling, memcached and Keystone."""
    folder = make(tmp_path_factory.mktemp("operator") / "kolla")
    password("keystone_database_password", "")(folder)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"qinling_api_port": one.getsockname()[1], "memcached_port": other.getsockname()[1]}
        path = folder / "globals.yml"
        kept = [line for line in path.read_text().splitlines() if line.partition(":")[0] not in taken]
        path.write_text("\n".join([*kept, *(f"{name}: {port}" for name, port in taken.items())]) + "\n")
        yield folder


def unchanged(operator: Path, playbook: str, *arguments: str) -> tuple[int, str]:
    """Run a playbook; see that it changed nothing, return its exit code and what it printed."""
    code, shown = play(operator, playbook, *arguments, qinling_destroy_confirmed="yes")
    assert not re.search(r"changed=[1-9]", shown)
    return code, shown


@pytest.mark.parametrize(
    ("arguments", "qinling", "memcached", "keystone"),
    [
        (["--tags", "qinling"], True, False, False),
        (["--tags", "memcached,qinling"], True, True, False),
        (["--skip-tags", "qinling,keystone"], False, True, False),
        (["--skip-tags", "qinling"], False, False, True),
    ],
)
def test_prechecks_look_at_the_services_that_tags_select(
    operator: Path, arguments: list[str], qinling: bool, memcached: bool, keystone: bool
) -> None:
    code, shown = unchanged(operator, "prechecks", *arguments)
    assert code != 0
    # A password that is missing stops the run before ports are looked at.
    found = [words in shown for words in ("(qinling_api_port)", "(memcached_port)", "keystone_database_password")]
    assert found == [qinling, memcached, keystone], shown[-3000:]


UNKNOWN = (["--tags", "nosuch,qinling"], f"--tags nosuch: there is no such tag; expected any of {KNOWN}")
MISSPELT = (["--skip-tags", "qinlin"], f"--skip-tags qinlin: there is no such tag; expected any of {KNOWN}")
NOT_HERE = (["--tags", "haproxy"], "--tags, --skip-tags: they select none of the services that are deployed here")


@pytest.mark.parametrize(
    ("playbook", "arguments", "words"),
    [
        ("prechecks", *UNKNOWN),
        ("prechecks", *MISSPELT),
        ("prechecks", *NOT_HERE),
        ("deploy", *UNKNOWN),
        ("pull", *MISSPELT),
        ("destroy", *NOT_HERE),
    ],
)
def test_tags_that_select_nothing_are_refused(operator: Path, playbook: str, arguments: list[str], words: str) -> None:
    code, shown = unchanged(operator, playbook, *arguments)
    assert code != 0
    assert words in shown, shown[-3000:]


@pytest.mark.parametrize(
    "playbook",
    ["all_in_one", "passwords", "bootstrap_servers", "build", "post_deploy", "sample", "kubernetes_credentials"],
)
def test_playbooks_that_are_no_walk_through_the_services_take_no_tags(operator: Path, playbook: str) -> None:
    code, shown = unchanged(operator, playbook, "--tags", "qinling")
    assert code != 0
    assert "--tags qinling: there is no such tag; this playbook takes no tags; run it without" in shown, shown[-3000:]

# SPDX-License-Identifier: Apache-2.0
"""--tags and --skip-tags select services, as in Kolla; tags that select nothing are refused before any change."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_directory import play
from test_bad_input import create_directory, password

KNOWN = "etcd, memcached, mariadb, rabbitmq, keystone, loadbalancer, haproxy, proxysql, qinling"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield an operator's directory with problems of Qinling, memcached and Keystone."""
    folder = create_directory(tmp_path_factory.mktemp("operator") / "kolla")
    password("keystone_database_password", "")(folder)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"qinling_api_port": one.getsockname()[1], "memcached_port": other.getsockname()[1]}
        path = folder / "globals.yml"
        lines = [line for line in path.read_text().splitlines() if line.partition(":")[0] not in taken]
        path.write_text("\n".join([*lines, *(f"{name}: {port}" for name, port in taken.items())]) + "\n")
        yield folder


def unchanged(operator: Path, playbook: str, *arguments: str) -> tuple[int, str]:
    """Run a playbook, assert that it changes nothing, and return its exit code and output."""
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
def test_prechecks_check_the_services_selected_by_tags(
    operator: Path, arguments: list[str], qinling: bool, memcached: bool, keystone: bool
) -> None:
    code, shown = unchanged(operator, "prechecks", *arguments)
    assert code != 0
    # A missing password stops the run before ports are checked.
    found = [words in shown for words in ("(qinling_api_port)", "(memcached_port)", "keystone_database_password")]
    assert found == [qinling, memcached, keystone], shown[-3000:]


UNKNOWN = (["--tags", "nosuch,qinling"], f"--tags nosuch: unknown tag; expected any of {KNOWN}")
MISSPELLED = (["--skip-tags", "qinlin"], f"--skip-tags qinlin: unknown tag; expected any of {KNOWN}")
NOT_DEPLOYED = (["--tags", "haproxy"], "--tags, --skip-tags: they select none of the deployed services")


@pytest.mark.parametrize(
    ("playbook", "arguments", "words"),
    [
        ("prechecks", *UNKNOWN),
        ("prechecks", *MISSPELLED),
        ("prechecks", *NOT_DEPLOYED),
        ("deploy", *UNKNOWN),
        ("pull", *MISSPELLED),
        ("destroy", *NOT_DEPLOYED),
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
def test_playbooks_without_services_refuse_tags(operator: Path, playbook: str) -> None:
    code, shown = unchanged(operator, playbook, "--tags", "qinling")
    assert code != 0
    assert "--tags qinling: unknown tag; this playbook does not support tags; run it without" in shown, shown[-3000:]

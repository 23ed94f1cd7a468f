# SPDX-License-Identifier: Apache-2.0
"""After a deployment and two reconfigurations with -vvv and --diff, the last with new passwords: who has seen a secret?

Runs after the tests of policies, whose playbooks it looks back at.
"""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest
from deployment import Deployment
from watch import Watch, fernet_keys, spellings


@pytest.fixture(scope="module", autouse=True)
def all_secrets(watch: Watch, deployment: Deployment) -> None:
    """Passwords of before and after, and Keystone's keys."""
    keys = fernet_keys(deployment)
    assert len(keys) >= 3
    watch.secrets.update(keys)
    assert len(watch.secrets) >= 8 + 2 + len(keys)
    assert len(watch.output) >= 4


def test_the_watch_sees(watch: Watch, tmp_path: Path) -> None:
    """No test below passes because nobody looked."""
    name, secret = next(iter(watch.secrets.items()))
    for form in spellings(secret):
        assert watch.told_by([b"x" + form + b"y"]) == [name]
    (tmp_path / "file").write_text(secret)
    (tmp_path / "file").chmod(0o644)
    assert watch.open_files(tmp_path, only_new=True) == {f"{tmp_path}/file": [name]}
    (tmp_path / "file").chmod(0o640)
    assert watch.open_files(tmp_path) == {}
    assert any(b"ansible-playbook" in line for line in watch.command_lines)
    assert any("bootstrap_qinling_api" in text for text in watch.containers.values())
    assert "changed: [localhost]" in watch.output[0]


def test_no_output_holds_a_secret(watch: Watch) -> None:
    assert watch.told_by(watch.output) == []


def test_no_command_line_holds_a_secret(watch: Watch) -> None:
    assert watch.told_by(watch.command_lines) == []


def test_nothing_that_docker_tells_holds_a_secret(watch: Watch) -> None:
    """Labels and environment, of containers that are gone as well."""
    watch.look_at_containers()
    assert watch.told_by(watch.containers.values()) == []


def test_no_log_holds_a_secret(watch: Watch, deployment: Deployment) -> None:
    client = docker.from_env()
    logs = {name: client.containers.get(deployment.prefix + name).logs() for name in deployment.services}
    assert {name: told for name, text in logs.items() if (told := watch.told_by([text]))} == {}


def test_files_with_secrets_are_closed(watch: Watch, deployment: Deployment) -> None:
    volumes = docker.from_env().volumes.list(filters={"name": deployment.prefix})
    folders = [deployment.node_config, deployment.directory, *(Path(volume.attrs["Mountpoint"]) for volume in volumes)]
    assert len(folders) > 6
    assert {path: told for folder in folders for path, told in watch.open_files(folder).items()} == {}


def test_nothing_is_left_in_temporary_files(watch: Watch) -> None:
    found = {}
    for folder in (Path("/tmp"), Path("/var/tmp"), Path.home() / ".ansible"):
        found |= watch.open_files(folder, only_new=True)
    assert found == {}


def test_files_in_containers_are_closed(watch: Watch, deployment: Deployment) -> None:
    assert json.dumps({name: found for name in deployment.services if (found := watch.open_files_inside(name))}) == "{}"

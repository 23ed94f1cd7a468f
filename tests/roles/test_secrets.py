# SPDX-License-Identifier: Apache-2.0
"""Tests that no secret was visible during a deployment and two reconfigurations with -vvv and --diff.

They depend on the runs of test_policy.py, of which the last one has new passwords.
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
    """Add Keystone's keys to the secrets, which include old and new passwords."""
    keys = fernet_keys(deployment)
    assert len(keys) >= 3
    watch.secrets.update(keys)
    assert len(watch.secrets) >= 8 + 2 + len(keys)
    assert len(watch.output) >= 4


def test_watch_finds_secrets(watch: Watch, tmp_path: Path) -> None:
    """The tests below must not pass because of a watch that finds nothing."""
    name, secret = next(iter(watch.secrets.items()))
    for form in spellings(secret):
        assert watch.secrets_in([b"x" + form + b"y"]) == [name]
    (tmp_path / "file").write_text(secret)
    (tmp_path / "file").chmod(0o644)
    assert watch.open_files(tmp_path, only_new=True) == {f"{tmp_path}/file": [name]}
    (tmp_path / "file").chmod(0o640)
    assert watch.open_files(tmp_path) == {}
    assert any(b"ansible-playbook" in line for line in watch.command_lines)
    assert any("bootstrap_qinling_api" in text for text in watch.containers.values())
    assert "changed: [localhost]" in watch.output[0]


def test_output_contains_no_secret(watch: Watch) -> None:
    assert watch.secrets_in(watch.output) == []


def test_command_lines_contain_no_secret(watch: Watch) -> None:
    assert watch.secrets_in(watch.command_lines) == []


def test_containers_contain_no_secret(watch: Watch) -> None:
    """Covers labels and environment, also of removed containers."""
    watch.record_containers()
    assert watch.secrets_in(watch.containers.values()) == []


def test_logs_contain_no_secret(watch: Watch, deployment: Deployment) -> None:
    client = docker.from_env()
    logs = {name: client.containers.get(deployment.prefix + name).logs() for name in deployment.services}
    assert {name: found for name, text in logs.items() if (found := watch.secrets_in([text]))} == {}


def test_files_with_secrets_are_not_readable_by_others(watch: Watch, deployment: Deployment) -> None:
    volumes = docker.from_env().volumes.list(filters={"name": deployment.prefix})
    folders = [deployment.node_config, deployment.directory, *(Path(volume.attrs["Mountpoint"]) for volume in volumes)]
    assert len(folders) > 6
    assert {path: found for folder in folders for path, found in watch.open_files(folder).items()} == {}


def test_temporary_files_contain_no_secret(watch: Watch) -> None:
    found: dict[str, list[str]] = {}
    for folder in (Path("/tmp"), Path("/var/tmp"), Path.home() / ".ansible"):
        found |= watch.open_files(folder, only_new=True)
    assert found == {}


def test_files_in_containers_are_not_readable_by_others(watch: Watch, deployment: Deployment) -> None:
    assert json.dumps({name: found for name in deployment.services if (found := watch.open_files_inside(name))}) == "{}"

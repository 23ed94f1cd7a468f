# SPDX-License-Identifier: Apache-2.0
"""The lowest, the pinned and the highest ansible-core make the same of the same settings: no container is recreated."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import environments
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]

PINNED = "pinned"


def programs(version: str) -> Path:
    """Return the folder of an ansible-core's programs; skip the test where this machine has no Python for it."""
    try:
        return environments.programs(version)
    except environments.NoPythonError as error:
        pytest.skip(str(error))


def play(version: str, directory: Path, playbook: str, *arguments: str) -> str:
    """Run a playbook by an ansible-core with an operator's directory; return what it printed, fail where it fails."""
    folder = Path(sys.executable).parent if version == PINNED else programs(version)
    settings = ["-e", f"@{directory}/globals.yml", "-e", f"kolla_config_dir={directory}"]
    command = [str(folder / "ansible-playbook"), "-i", "inventory/all-in-one", *settings, *arguments, playbook]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def changed(shown: str) -> int:
    """Return the number of changed tasks in what a run printed."""
    return sum(int(count) for count in re.findall(r"changed=(\d+)", shown))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An operator's directory, with the files that the pinned ansible-core makes of it."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "globals.yml").write_text((PROJECT / "tests/versions/settings.yml").read_text())
    assert changed(play(PINNED, folder, "tests/versions/render.yml")) > 0
    yield folder


@pytest.mark.parametrize("version", [PINNED, environments.LOWEST, environments.HIGHEST])
def test_files_and_digests_are_those_of_the_pinned_version(directory: Path, version: str) -> None:
    shown = play(version, directory, "tests/versions/render.yml", "--diff")
    assert changed(shown) == 0, shown[-8000:]


@pytest.mark.parametrize("version", [environments.LOWEST, environments.HIGHEST])
def test_images_are_not_rebuilt(tmp_path: Path, version: str) -> None:
    (tmp_path / "globals.yml").write_text("{}\n")
    assert "Nothing: every image has the inputs" in play(version, tmp_path, "playbooks/build.yml", "--check")


def test_the_lowest_version_is_the_one_that_the_collection_requires() -> None:
    runtime = yaml.safe_load((PROJECT / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == f">={environments.LOWEST}.0"

# SPDX-License-Identifier: Apache-2.0
"""Runs of playbooks with the supported ansible-core versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import environments
import pytest
from environments import PINNED


def programs(version: str) -> Path:
    """Return the directory of the programs of an ansible-core version; skip the test if no Python supports it."""
    if version == PINNED:
        return Path(sys.executable).parent
    try:
        return environments.programs(version)
    except environments.NoPythonError as error:
        pytest.skip(str(error))


def play(directory: Path, playbook: str, *arguments: str, version: str = PINNED, inventory: str = "") -> str:
    """Run a playbook with a version of ansible-core and return its output; fail if it fails.

    `playbook` is a path in the project; `inventory` defaults to inventory/all-in-one.
    """
    command = [str(programs(version) / "ansible-playbook"), "-i", inventory or "inventory/all-in-one"]
    command += ["-e", f"kolla_config_dir={directory}", *arguments, playbook]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(environments.PROJECT / "ansible.cfg")}
    done = subprocess.run(
        command, cwd=environments.PROJECT, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def changed(shown: str) -> int:
    """Return the number of changed tasks in the output of a run; fail if it contains no recap."""
    counts = re.findall(r"changed=(\d+)", shown)
    assert counts, shown[-2000:]
    return sum(map(int, counts))

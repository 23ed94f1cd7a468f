# SPDX-License-Identifier: Apache-2.0
"""Helpers that create an operator's directory and run playbooks with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
SECRET = "aPasswordOfTests"
PASSWORDS = (
    "database_password",
    "rabbitmq_password",
    "rabbitmq_cluster_cookie",
    "memcache_secret_key",
    "keystone_admin_password",
    "keystone_database_password",
    "qinling_database_password",
    "qinling_keystone_password",
)


def fill(directory: Path, settings: dict[str, Any]) -> Path:
    """Write globals.yml with `settings`, and passwords.yml with SECRET as every password; return the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "globals.yml").write_text(
        "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())
    )
    (directory / "passwords.yml").write_text("".join(f"{name}: {SECRET}\n" for name in PASSWORDS))
    (directory / "passwords.yml").chmod(0o640)
    return directory


def play(
    directory: Path,
    playbook: str,
    *arguments: str,
    inventory: str = "inventory/all-in-one",
    project: Path = PROJECT,
    **variables: Any,
) -> tuple[int, str]:
    """Run a playbook of a checkout; return its exit code and its output with all whitespace as single blanks."""
    extra_vars = json.dumps({"kolla_config_dir": str(directory), **variables})
    command = ["ansible-playbook", "-i", inventory, "-e", extra_vars, *arguments, f"playbooks/{playbook}.yml"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(project / "ansible.cfg")}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def changed(shown: str) -> int:
    """Return the number of changed tasks from the output of a run; fail if it has no recap."""
    counts = re.findall(r"changed=(\d+)", shown)
    assert counts, shown[-2000:]
    return sum(map(int, counts))


def containers(prefix: str) -> dict[str, str]:
    """Return the states of containers by name, for names with a prefix."""
    command = ["docker", "ps", "--all", "--filter", f"name=^{prefix}", "--format", "{{json .}}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {container["Names"]: container["State"] for container in map(json.loads, lines)}

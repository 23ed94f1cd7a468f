# SPDX-License-Identifier: Apache-2.0
"""A deployment under test: its operator's directory, containers and playbooks."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
BACKING_SERVICES = ["etcd", "mariadb", "rabbitmq", "memcached", "keystone"]


_TASK = re.compile(r"^TASK \[(.+?)\] \**$", re.MULTILINE)
_CHANGED = re.compile(r"^changed: \[([^\]]+)\](?: => \(item=(.*?)\))?(?: =>.*)?$")


@dataclass(frozen=True)
class Outcome:
    """The changes of a run as (task, host, item), its output, and the containers that it recreated."""

    changed: list[tuple[str, str, str]]
    shown: str
    recreated: list[str]


class Deployment:
    """A local deployment.

    `directory` is its operator's directory, `settings` its globals.yml, `passwords` its passwords.yml.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings: dict[str, Any] = yaml.safe_load((directory / "globals.yml").read_text())
        self.passwords: dict[str, str] = yaml.safe_load((directory / "passwords.yml").read_text())
        self.node_config = directory / "node"
        self.prefix: str = self.settings.get("qinling_container_prefix", "")
        self.kubernetes = bool(self.settings.get("qinling_kube_host"))
        self.api_address: str = self.settings.get("qinling_api_listen_address", "127.0.0.1")

    @property
    def services(self) -> list[str]:
        """Return the names of the deployment's containers, without prefix."""
        return [*BACKING_SERVICES, "qinling_api", "qinling_engine", *([] if self.kubernetes else ["qinling_gateway"])]

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the inspection of a container."""
        return dict(json.loads(run("docker", "inspect", self.prefix + name))[0])

    def ids(self) -> dict[str, str]:
        """Return the IDs of all containers by name."""
        return {name: self.inspect(name)["Id"] for name in self.services}

    def inside(self, name: str, *command: str) -> str:
        """Run a command in a container and return its output; fail if it fails."""
        return run("docker", "exec", self.prefix + name, *command)

    def play(self, playbook: str, *arguments: str) -> str:
        """Run a playbook of the collection and return its output; fail if it fails."""
        command = ["ansible-playbook", "-i", "inventory/all-in-one", "-e", f"kolla_config_dir={self.directory}"]
        return run(*command, *arguments, f"playbooks/{playbook}.yml")

    def reconfigure(self, *arguments: str) -> Outcome:
        """Run reconfigure with --check and without; fail if their changes differ, or their output contains a secret."""
        predicted = self._outcome("--check", "--diff", "-vvv", *arguments)
        done = self._outcome("--diff", *arguments)
        assert predicted.recreated == []
        assert predicted.changed == done.changed, f"--check: {predicted.changed}; without: {done.changed}"
        named = {
            name
            for task, _host, _item in done.changed
            if (match := re.search(r"Containers \| Run (.+)", task))
            for name in match[1].split(", ")
        }
        assert named == {self.prefix + name for name in done.recreated}, f"{named}, {done.recreated}"
        for outcome in (predicted, done):
            assert not [name for name, secret in self.passwords.items() if secret in outcome.shown]
        return done

    def _outcome(self, *arguments: str) -> Outcome:
        before = self.ids()
        shown = self.play("reconfigure", *arguments)
        after = self.ids()
        return Outcome(changed_tasks(shown), shown, [name for name in before if before[name] != after[name]])


def changed_tasks(shown: str) -> list[tuple[str, str, str]]:
    """Return the changes in the output of a playbook as (task, host, item); fail if it contains no task."""
    assert _TASK.search(shown), f"no task in: {shown[-2000:]}"
    task, found = "", []
    for line in shown.splitlines():
        if match := _TASK.match(line):
            task = match[1]
        elif match := _CHANGED.match(line):
            found.append((task, match[1], match[2] or ""))
    return found


def run(*command: str) -> str:
    """Run a command in the project's directory and return its standard output; fail with the end of its output."""
    # Molecule enables colours if CI is set.
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr)[-6000:]}"
    return done.stdout

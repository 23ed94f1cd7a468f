# SPDX-License-Identifier: Apache-2.0
"""Runs playbooks with the most verbose output, and records all visible data in which secrets could appear."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import docker
from deployment import PROJECT, Deployment

# An operator's plays, which use the roles directly.
PLAYS = "molecule/roles/deploy.yml"


def spellings(secret: str) -> set[bytes]:
    """Return the encodings of a secret, including base64 at any offset in a longer text."""
    raw = secret.encode()
    found = {raw, quote(secret).encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    found.add(json.dumps(secret)[1:-1].encode())
    for before in range(3):
        # The surrounding text changes the first and last characters.
        whole = base64.b64encode(b"\0" * before + raw)
        start = (before * 8 + 5) // 6
        found.add(whole[start : (before + len(raw)) * 8 // 6])
    return {form for form in found if len(form) >= 8}


class Watch:
    """Data that was visible while playbooks ran: their output, command lines, and inspections of containers."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.started = time.time()
        self.secrets: dict[str, str] = {}
        self.output: list[str] = []
        self.command_lines: set[bytes] = set()
        self.containers: dict[str, str] = {}
        self.add_passwords()

    def add_passwords(self) -> None:
        """Add the current passwords to the secrets; previous ones remain."""
        for name, value in self.deployment.passwords.items():
            self.secrets[f"{name} {value[:2]}…"] = value

    def play(self, playbook: str, *arguments: str) -> str:
        """Run a playbook with -vvv and --diff while recording, and return its output; fail if it fails."""
        command = [
            "ansible-playbook",
            "-i",
            "inventory/all-in-one",
            "-e",
            f"kolla_config_dir={self.deployment.directory}",
        ]
        done = threading.Event()
        watchers = [threading.Thread(target=watch, args=(done,)) for watch in (self._processes, self._containers)]
        for watcher in watchers:
            watcher.start()
        try:
            process = subprocess.run(
                [*command, "-vvv", "--diff", *arguments, playbook],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
        finally:
            done.set()
            for watcher in watchers:
                watcher.join()
        self.output.append(process.stdout + process.stderr)
        assert process.returncode == 0, self.output[-1][-6000:]
        return self.output[-1]

    def _processes(self, done: threading.Event) -> None:
        while not done.wait(0.05):
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    try:
                        self.command_lines.add((folder / "cmdline").read_bytes())
                    except OSError:  # The process has ended.
                        continue

    def _containers(self, done: threading.Event) -> None:
        api = docker.from_env().api
        while not done.wait(0.3):
            self.record_containers(api)

    def record_containers(self, api: docker.APIClient | None = None) -> None:
        """Record the inspections of the deployment's containers, including short-lived ones."""
        api = api or docker.from_env().api
        for found in api.containers(all=True, filters={"name": self.deployment.prefix}):
            if found["Id"] not in self.containers:
                try:
                    self.containers[found["Id"]] = json.dumps(api.inspect_container(found["Id"]))
                except docker.errors.NotFound:
                    continue

    def secrets_in(self, texts: Iterable[str | bytes]) -> list[str]:
        """Return the names of the secrets that any of the texts contains."""
        whole = b"\n".join(text.encode(errors="replace") if isinstance(text, str) else text for text in texts)
        return [name for name, secret in self.secrets.items() if any(form in whole for form in spellings(secret))]

    def loose_files(self, folder: Path, only_new: bool) -> Iterator[Path]:
        """Yield the files of a directory that others can access, or that are executable."""
        # os.walk ignores directories that disappear.
        for path in (Path(at, name) for at, _folders, names in os.walk(folder) for name in names):
            try:
                status = path.lstat()
            except OSError:  # The file has been removed.
                continue
            new = status.st_mtime >= self.started or not only_new
            if (
                stat.S_ISREG(status.st_mode)
                and stat.S_IMODE(status.st_mode) & ~0o660
                and new
                and status.st_size < 2**25
            ):
                yield path

    def open_files(self, folder: Path, only_new: bool = False) -> dict[str, list[str]]:
        """Return the names of secrets in files that others can access, by path."""
        found = {}
        for path in self.loose_files(folder, only_new):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            if names := self.secrets_in([content]):
                found[str(path)] = names
        return found

    def open_files_inside(self, container: str) -> str:
        """Return the files in a container, except mounts, that others can access and that contain a secret."""
        forms = b"\n".join(sorted({form for secret in self.secrets.values() for form in spellings(secret)}))
        search = (
            "umask 077; forms=$(mktemp -p /dev/shm) && cat > $forms; "
            f"find / -xdev -type f -perm /007 -newermt @{int(self.started)} -size -32M -exec grep -lFf $forms {{}} +; "
            "rm $forms"
        )
        command = ["docker", "exec", "-i", "-u", "0", self.deployment.prefix + container, "sh", "-c", search]
        return subprocess.run(command, input=forms, capture_output=True, timeout=120, check=False).stdout.decode()


def fernet_keys(deployment: Deployment) -> dict[str, str]:
    """Return Keystone's keys by path."""
    shown = deployment.inside(
        "keystone", "sh", "-c", "grep -H . /etc/keystone/fernet-keys/* /etc/keystone/credential-keys/*"
    )
    return dict(re.findall(r"^(\S+?):(\S+)$", shown, re.M))

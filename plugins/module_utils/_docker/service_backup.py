# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Backup of a service's container and configuration, for the rollback of a change that fails.

Everything that a rollback needs is on the host, under names of its own, so that a run that was interrupted at any point
is continued by the next one: the earlier container, stopped and renamed, and a copy of the service's configuration
directory. The copy holds a marker where the service had no container worth a backup.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import (
    SOCKET,
    DockerApi,
    DockerRefusedError,
    DockerUnreachableError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import LABEL

# What the name of a container's backup ends with, and that of a configuration directory's copy begins with.
SUFFIX, PREFIX = "_backup", ".backup-"
MARKER, UNFINISHED = ".created", ".unfinished"
# The label that says which service a container is of: a container without it was not made here, whatever its name.
SERVICE = "qinling.kolla/service"
# States of a container that gives no service: a rollback to it would restore nothing.
_WORTHLESS = ("restarting", "created", "dead")

NOTHING_RESTORED: dict[str, list[str]] = {"restored": [], "removed": [], "left": []}
# What keeps Docker or the directories from being changed.
FAILURES = (DockerUnreachableError, DockerRefusedError, OSError, subprocess.CalledProcessError)
# What is to be done, in order: an operation of `Host`, and what it is applied to.
Operation = tuple[str, str]
# A container as Docker lists it.
Container = Mapping[str, Any]


@dataclass(frozen=True)
class Service:
    """A service: its name and its container's.

    `image` and `definition` are what the container will be made from; it is replaced where its own differ, and in any
    case where `definition` is empty.
    """

    service: str
    container: str
    image: str = ""
    definition: str = ""


@dataclass(frozen=True)
class State:
    """What of a service is on the host: containers as Docker lists them, and whether there are its directories."""

    container: Container | None = None
    backup: Container | None = None
    configuration: bool = False
    configuration_backup: bool = False
    unfinished: bool = False
    created: bool = False


def failure_text(error: Exception, root: str) -> str:
    """Return the message about one of FAILURES, where `root` is the directory above those of the services."""
    if isinstance(error, DockerUnreachableError | DockerRefusedError):
        return f"Docker on {SOCKET}: {error}; run the same command again once that is fixed."
    return f"{root}: {error}; expected a directory that can be copied; run the same command again."


def backup_of(service: str, container: str, listed: Mapping[str, Container]) -> Container | None:
    """Return the backup of a service's container, of Docker's containers by name; None where there is none."""
    found = listed.get(container + SUFFIX)
    return found if found and (found.get("Labels") or {}).get(SERVICE) == service else None


def is_healthy(container: Container | None) -> bool:
    """Return whether a container runs and, if it has a health check, passed it."""
    if container is None or container["State"] != "running":
        return False
    return "(healthy)" in container["Status"] or "health" not in container["Status"]


def prepare(service: Service, state: State) -> list[Operation]:
    """Return what is done before the configuration is written.

    What an interrupted run left is the last good state, unless the container that it made is healthy by now.
    """
    confirmed = (state.backup is not None or state.created) and is_healthy(state.container)
    copied = state.configuration and (confirmed or not state.configuration_backup)
    return [
        *(cleanup(service, state) if confirmed else []),
        *([("copy_configuration", service.service)] if copied else []),
    ]


def backup(service: Service, state: State) -> list[Operation]:
    """Return what is done before a container is made: the earlier one is stopped and renamed where it is replaced."""
    if state.container is None:
        return [] if state.backup else [("mark_created", service.service)]
    labels = state.container.get("Labels") or {}
    if service.definition and (labels.get(LABEL), state.container["Image"]) == (service.definition, service.image):
        return []
    if state.backup or state.created:
        # An interrupted run made it, and it was never seen healthy.
        return [("stop", service.container), ("remove", service.container)]
    if state.container["State"] in _WORTHLESS:
        return [("stop", service.container), ("remove", service.container), ("mark_created", service.service)]
    return [("stop", service.container), ("rename_to_backup", service.container)]


def rollback(states: Mapping[Service, State]) -> list[Operation]:
    """Return what restores the services of a project, each of them as it was.

    Where there is no earlier container at all, the new ones stay for inspection, with their configuration.
    """
    restorable = any(state.backup for state in states.values())
    operations: list[Operation] = []
    for service, state in states.items():
        if state.created and not restorable:
            operations.append(("remove_configuration_backup", service.service))
            continue
        if state.container and (state.created or state.backup):
            operations += [("stop", service.container), ("remove", service.container)]
        if state.backup:
            operations.append(("rename_from_backup", service.container))
        if state.configuration_backup:
            operations.append(("restore_configuration", service.service))
    return [*operations, *(("start", service.container) for service, state in states.items() if state.backup)]


def cleanup(service: Service, state: State) -> list[Operation]:
    """Return what removes a service's backup; the container last, as it says whose configuration the copy is."""
    return [
        *([("remove_configuration_backup", service.service)] if state.configuration_backup or state.unfinished else []),
        *([("remove_backup", service.container)] if state.backup else []),
    ]


class Host:
    """Docker and the configuration directories of this host."""

    def __init__(self, docker: DockerApi, root: Path, stop_timeout: int) -> None:
        self.docker, self.root, self.stop_timeout = docker, root, stop_timeout

    def states(self, services: Iterable[Service]) -> dict[Service, State]:
        """Return what is there of services; raises DockerUnreachableError or DockerRefusedError."""
        listed = {name.lstrip("/"): container for container in self.docker.listing() for name in container["Names"]}
        return {
            service: State(
                listed.get(service.container),
                backup_of(service.service, service.container, listed),
                (self.root / service.service).is_dir(),
                self._copy(service.service).is_dir(),
                self._unfinished(service.service).is_dir(),
                (self._copy(service.service) / MARKER).exists(),
            )
            for service in services
        }

    def run(self, operations: Iterable[Operation]) -> None:
        """Run operations in order; raises DockerUnreachableError, DockerRefusedError or OSError."""
        for name, argument in operations:
            getattr(self, name)(argument)

    def stop(self, container: str) -> None:
        """Stop a container, which has the stop timeout to end by itself."""
        url = f"/containers/{quote(container)}/stop?t={self.stop_timeout}"
        self.docker.change("POST", url, self.stop_timeout + 60)

    def start(self, container: str) -> None:
        """Start a container."""
        self.docker.change("POST", f"/containers/{quote(container)}/start", 60)

    def remove(self, container: str) -> None:
        """Remove a container, if there is one."""
        self.docker.change("DELETE", f"/containers/{quote(container)}?force=1", 60, missing_ok=True)

    def remove_backup(self, container: str) -> None:
        """Remove the backup of a container."""
        self.remove(container + SUFFIX)

    def rename_to_backup(self, container: str) -> None:
        """Give a container the name of its backup."""
        self._rename(container, container + SUFFIX)

    def rename_from_backup(self, container: str) -> None:
        """Give the backup of a container the container's name."""
        self._rename(container + SUFFIX, container)

    def _rename(self, earlier: str, later: str) -> None:
        self.docker.change("POST", f"/containers/{quote(earlier)}/rename?name={quote(later)}", 60)

    def _copy(self, service: str) -> Path:
        return self.root / f"{PREFIX}{service}"

    def _unfinished(self, service: str) -> Path:
        return self.root / f"{PREFIX}{service}{UNFINISHED}"

    def copy_configuration(self, service: str) -> None:
        """Copy a service's configuration directory, whole or not at all, with owners and modes."""
        shutil.rmtree(self._unfinished(service), ignore_errors=True)
        _copy_tree(self.root / service, self._unfinished(service))
        self._unfinished(service).rename(self._copy(service))

    def mark_created(self, service: str) -> None:
        """Note that a service has no container that a rollback could restore."""
        self._copy(service).mkdir(mode=0o700, exist_ok=True)
        (self._copy(service) / MARKER).touch()

    def restore_configuration(self, service: str) -> None:
        """Make a service's configuration directory what its copy is; a copy without configuration says there was none.

        The directory itself stays, as a running container mounts it.
        """
        copy, directory = self._copy(service), self.root / service
        (copy / MARKER).unlink(missing_ok=True)
        if any(copy.iterdir()):
            for entry in directory.iterdir() if directory.is_dir() else ():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            _copy_tree(copy, directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
        self.remove_configuration_backup(service)

    def remove_configuration_backup(self, service: str) -> None:
        """Remove the copy of a configuration directory, which counts as a copy only as long as it is whole."""
        shutil.rmtree(self._unfinished(service), ignore_errors=True)
        if self._copy(service).is_dir():
            self._copy(service).rename(self._unfinished(service))
            shutil.rmtree(self._unfinished(service))


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a directory's attributes and content into another one, which may exist; raises CalledProcessError."""
    target.mkdir(mode=0o700, exist_ok=True)
    command = ["cp", "--archive", "--", f"{source}/.", str(target)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def run(step: str, services: Iterable[Service], host: Host) -> dict[str, list[str]]:
    """Run a step for services, those of one project in a rollback, as Host.run does.

    Returns the containers that a rollback `restored`, and of those that did not run before, which it `removed` and
    which it `left`.
    """
    states = host.states(services)
    if step == "rollback":
        host.run(rollback(states))
        restored = [service.container for service, state in states.items() if state.backup]
        created = [service.container for service, state in states.items() if state.created and state.container]
        return {"restored": restored, "removed": created if restored else [], "left": [] if restored else created}
    decide = {"prepare": prepare, "backup": backup, "cleanup": cleanup}[step]
    for service, state in states.items():
        host.run(decide(service, state))
    return NOTHING_RESTORED

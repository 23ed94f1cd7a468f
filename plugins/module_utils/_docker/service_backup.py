# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Back up a service's container and configuration, and restore them if a change fails.

The whole state of a backup is on the host, so that the next run continues an interrupted one: the previous container,
stopped and renamed, and a copy of the service's configuration directory. The copy contains a marker if the service had
no usable container.
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

# Suffix of the name of a container's backup, and prefix of the name of a configuration directory's copy.
SUFFIX, PREFIX = "_backup", ".backup-"
MARKER, UNFINISHED = ".created", ".unfinished"
# The label with the service of a container: this collection did not create a container without the label.
SERVICE = "qinling.kolla/service"
# States of a container to which a rollback makes no sense.
_UNUSABLE = ("restarting", "created", "dead")

NOTHING_RESTORED: dict[str, list[str]] = {"restored": [], "removed": [], "left": []}
# Errors of Docker and of the file system.
FAILURES = (DockerUnreachableError, DockerRefusedError, OSError, subprocess.CalledProcessError)
# A method of `Host` and its argument.
Operation = tuple[str, str]
# A container as Docker lists it.
Container = Mapping[str, Any]


@dataclass(frozen=True)
class Service:
    """A service: its name and the name of its container.

    `image` and `definition` are those of the new container. The present one is replaced if they differ, or if
    `definition` is empty.
    """

    service: str
    container: str
    image: str = ""
    definition: str = ""


@dataclass(frozen=True)
class State:
    """The state of a service on the host: containers as Docker lists them, and whether directories exist."""

    container: Container | None = None
    backup: Container | None = None
    configuration: bool = False
    configuration_backup: bool = False
    unfinished: bool = False
    created: bool = False


def failure_text(error: Exception, root: str) -> str:
    """Return the message about one of FAILURES; `root` is the parent directory of the services' directories."""
    if isinstance(error, DockerUnreachableError | DockerRefusedError):
        return f"Docker on {SOCKET}: {error}; correct the cause and run the same command again."
    return f"{root}: {error}; expected a directory that can be copied; run the same command again."


def backup_of(service: str, container: str, listed: Mapping[str, Container]) -> Container | None:
    """Return the backup of a service's container; None if it does not exist. `listed` are containers by name."""
    found = listed.get(container + SUFFIX)
    return found if found and (found.get("Labels") or {}).get(SERVICE) == service else None


def is_healthy(container: Container | None) -> bool:
    """Return whether a container runs and, if it has a health check, is healthy."""
    if container is None or container["State"] != "running":
        return False
    return "(healthy)" in container["Status"] or "health" not in container["Status"]


def prepare(service: Service, state: State) -> list[Operation]:
    """Return the operations before the configuration is written.

    The backup of an interrupted run is the last good state, unless the container that it created is now healthy.
    """
    confirmed = (state.backup is not None or state.created) and is_healthy(state.container)
    copied = state.configuration and (confirmed or not state.configuration_backup)
    return [
        *(cleanup(service, state) if confirmed else []),
        *([("copy_configuration", service.service)] if copied else []),
    ]


def backup(service: Service, state: State) -> list[Operation]:
    """Return the operations before a container is created: a container that is replaced is stopped and renamed."""
    if state.container is None:
        return [] if state.backup else [("mark_created", service.service)]
    labels = state.container.get("Labels") or {}
    if service.definition and (labels.get(LABEL), state.container["Image"]) == (service.definition, service.image):
        return []
    if state.backup or state.created:
        # An interrupted run created this container, and it never became healthy.
        return [("stop", service.container), ("remove", service.container)]
    if state.container["State"] in _UNUSABLE:
        return [("stop", service.container), ("remove", service.container), ("mark_created", service.service)]
    return [("stop", service.container), ("rename_to_backup", service.container)]


def rollback(states: Mapping[Service, State]) -> list[Operation]:
    """Return the operations that restore the services of a project.

    If no service has a previous container, the new containers stay for inspection, with their configuration.
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
    """Return the operations that remove a service's backup; the container last, because it identifies the copy."""
    return [
        *([("remove_configuration_backup", service.service)] if state.configuration_backup or state.unfinished else []),
        *([("remove_backup", service.container)] if state.backup else []),
    ]


class Host:
    """Docker and the configuration directories of this host."""

    def __init__(self, docker: DockerApi, root: Path, stop_timeout: int) -> None:
        self.docker, self.root, self.stop_timeout = docker, root, stop_timeout

    def states(self, services: Iterable[Service]) -> dict[Service, State]:
        """Return the states of services. Raise DockerUnreachableError or DockerRefusedError if Docker fails."""
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
        """Run operations in order. Raise one of FAILURES."""
        for name, argument in operations:
            getattr(self, name)(argument)

    def stop(self, container: str) -> None:
        """Stop a container; Docker kills it after the stop timeout."""
        url = f"/containers/{quote(container)}/stop?t={self.stop_timeout}"
        self.docker.change("POST", url, self.stop_timeout + 60)

    def start(self, container: str) -> None:
        """Start a container."""
        self.docker.change("POST", f"/containers/{quote(container)}/start", 60)

    def remove(self, container: str) -> None:
        """Remove a container if it exists."""
        self.docker.change("DELETE", f"/containers/{quote(container)}?force=1", 60, missing_ok=True)

    def remove_backup(self, container: str) -> None:
        """Remove the backup of a container."""
        self.remove(container + SUFFIX)

    def rename_to_backup(self, container: str) -> None:
        """Rename a container to the name of its backup."""
        self._rename(container, container + SUFFIX)

    def rename_from_backup(self, container: str) -> None:
        """Rename the backup of a container to the container's name."""
        self._rename(container + SUFFIX, container)

    def _rename(self, old: str, new: str) -> None:
        self.docker.change("POST", f"/containers/{quote(old)}/rename?name={quote(new)}", 60)

    def _copy(self, service: str) -> Path:
        return self.root / f"{PREFIX}{service}"

    def _unfinished(self, service: str) -> Path:
        return self.root / f"{PREFIX}{service}{UNFINISHED}"

    def copy_configuration(self, service: str) -> None:
        """Copy a service's configuration directory atomically, with owners and modes."""
        shutil.rmtree(self._unfinished(service), ignore_errors=True)
        _copy_tree(self.root / service, self._unfinished(service))
        self._unfinished(service).rename(self._copy(service))

    def mark_created(self, service: str) -> None:
        """Record that a service has no container that a rollback could restore."""
        self._copy(service).mkdir(mode=0o700, exist_ok=True)
        (self._copy(service) / MARKER).touch()

    def restore_configuration(self, service: str) -> None:
        """Replace the content of a service's configuration directory with its copy; an empty copy removes it.

        The directory itself stays, because a running container mounts it.
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
        """Remove the copy of a configuration directory; renaming it first marks it as incomplete."""
        shutil.rmtree(self._unfinished(service), ignore_errors=True)
        if self._copy(service).is_dir():
            self._copy(service).rename(self._unfinished(service))
            shutil.rmtree(self._unfinished(service))


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a directory's attributes and content to `target`, which may exist. Raise CalledProcessError on failure."""
    target.mkdir(mode=0o700, exist_ok=True)
    command = ["cp", "--archive", "--", f"{source}/.", str(target)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def run(step: str, services: Iterable[Service], host: Host) -> dict[str, list[str]]:
    """Run a step for services; a rollback needs all services of one project. Raise one of FAILURES.

    Return the containers that a rollback `restored`, and the new ones that it `removed` or `left` for inspection.
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

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Compare a host with the desired state of its projects, in one call.

The controller sends the desired state (see the action plugin `plan`); the result contains findings, and the differences
by project.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config import option_check
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import DesiredFile, digest, reconcile
from ansible_collections.qinling.kolla.plugins.module_utils._docker import container_digest, ownership, service_backup
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import (
    SOCKET,
    DockerApi,
    DockerRefusedError,
    DockerUnreachableError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._plan import preflight, preflight_checks
from ansible_collections.qinling.kolla.plugins.module_utils._resources.kinds import Comparison

DAEMON = Path("/etc/docker/daemon.json")
# Files that containers mount if the host has them.
MOUNTS = ("/etc/localtime", "/etc/timezone")
# States of a container with processes.
_RUNNING = ("running", "paused", "restarting")
# Kinds of objects that destroy removes, and their names in messages.
_KINDS = {
    "containers": "container",
    "volumes": "volume",
    "networks": "network",
    "paths": "directory",
    "worker_volumes": "volume",
    "services": "Swarm service",
    "configs": "Swarm config",
}


@dataclass
class Request:
    """The desired state that the controller sends.

    `projects` are the services of each project, including those of other hosts; `local` are the services of this host.
    The plan compares those of the following that are set: `files` of each local service, `settings` (shared by all
    containers), `host` (for preflight), `options` (for option_check), `resources` (see _resources/kinds.py) and
    `leftovers` (volumes, networks and directories by project that destroy removes; only the operator's *_extra_volumes
    name its `extra_volumes`).
    `claims` are the containers, volumes and networks that a project may create or remove on this host. An object of
    another deployment than `deployment` is a finding, with `unmanaged` also a container without labels of this
    collection.
    `requirements` of a project are a running `container` or an existing `directory`, each with the `message` for the
    operator if it is missing.
    `volumes` are those that local services mount, `bootstraps` the digests of the inputs of bootstraps by service.
    """

    root: Path
    owner: tuple[int, int]
    projects: Mapping[str, Mapping[str, Mapping[str, Any]]]
    local: list[str]
    files: Mapping[str, list[DesiredFile]] | None = None
    settings: Mapping[str, Any] | None = None
    host: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    resources: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    leftovers: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    deployment: str = ""
    claims: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    volumes: Mapping[str, list[str]] = field(default_factory=dict)
    unmanaged: bool = False
    bootstraps: Mapping[str, str] = field(default_factory=dict)
    requirements: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)

    def claimed(self, kind: str) -> list[str]:
        """Return the names that all projects claim of a kind (container, volume or network)."""
        return [name for claims in self.claims.values() for name in claims[kind]]


def host_facts() -> dict[str, Any]:
    """Return the missing MOUNTS, in the format of `docker run --volume`, and the group of Docker's socket."""
    return {
        "absent_mounts": [f"{path}:{path}:ro" for path in MOUNTS if not Path(path).exists()],
        "docker_socket_group": Path(SOCKET).stat().st_gid if Path(SOCKET).exists() else 0,
    }


def engine_facts(docker: DockerApi) -> dict[str, Any]:
    """Return the engine's Swarm state (`Swarm` of GET /info), and the network switches of daemon.json.

    A daemon.json with invalid JSON is ignored: Docker does not start with it.
    """
    switches = {"iptables": True, "userland-proxy": True}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        settings = json.loads(DAEMON.read_text(encoding="utf-8"))
        switches |= {name: bool(settings[name]) for name in switches if name in settings}
    return {"swarm": docker.found("/info").get("Swarm") or {}, "switches": switches}


@dataclass
class Found:
    """Docker's objects on the host: containers as it lists them, labels of volumes and networks by name.

    `swarm` are the Swarm services and configs of functions, by project and kind. `known` is false if Docker does not
    answer.
    """

    containers: list[dict[str, Any]] = field(default_factory=list)
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    swarm: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    known: bool = True

    @property
    def by_name(self) -> dict[str, dict[str, Any]]:
        """Return the containers by name."""
        return {name.lstrip("/"): container for container in self.containers for name in container["Names"]}


def plan(request: Request) -> dict[str, Any]:
    """Return the result of the module plan. Raise DirectoryError if a directory is not safe to change."""
    facts = host_facts()
    comparison = Comparison(request.resources)
    differences: dict[str, dict[str, Any]] = {project: {} for project in request.projects}
    digests = file_differences(request, differences) if request.files is not None else {}

    docker = DockerApi(SOCKET)
    options: dict[str, Any] = {"found": [], "validated": [], "not_validated": {}}
    labels: dict[str, str] = {}
    unchanged: list[str] = []
    bootstrapped: list[str] = []
    up_to_date: list[str] = []
    orphaned: list[str] = []
    findings: list[str] = []
    found = Found()
    existing: list[str] = []
    backups: list[str] = []
    images: dict[str, bool] = {}
    engine: dict[str, Any] = {}
    try:
        found.containers = docker.listing()
        if request.settings is not None:
            images = {image: docker.has_image(image) for image in local_images(request)}
        if request.host and request.host["docker"]:
            engine = engine_facts(docker)
        if request.options:
            options = option_check.validate(docker, dict(request.options))
        found.volumes = docker.volumes() if request.claimed("volume") else {}
        found.networks = docker.networks() if request.claimed("network") else {}
        found.swarm = {project: swarm_objects(docker, leftovers) for project, leftovers in request.leftovers.items()}
    except (DockerUnreachableError, DockerRefusedError) as error:
        found = Found(known=False)
        reason = f"Docker on {SOCKET} does not answer: {error}"
        if isinstance(error, DockerRefusedError):
            reason = preflight.refused_finding(SOCKET, error)
            findings.append(reason)
        else:
            findings += unreachable_findings(request, reason)
        options["not_validated"] = {check["service"]: reason for check in (request.options or {}).get("checks") or []}
    findings += owner_findings(request, found)

    names = {name: container["State"] for name, container in found.by_name.items()}
    retained = retained_volumes(request, found)
    leftover_lines: list[str] = []
    absent_volumes = [name for name in request.claimed("volume") if name not in found.volumes]
    for project, services in request.projects.items():
        own = [str(service["container_name"]) for service in services.values()]
        project_backups = backups_of(services, request.root, found.by_name)
        existing += [name for name in own if name in names]
        backups += project_backups
        differences[project]["running"] = [name for name in own if names.get(name) in _RUNNING]
        # The first of several projects that mount a volume creates it.
        differences[project]["volumes"] = [
            name for name in request.volumes.get(project) or [] if name in absent_volumes
        ]
        absent_volumes = [name for name in absent_volumes if name not in differences[project]["volumes"]]
        if request.settings is not None:
            desired = {
                name: container_digest.with_group(service, facts["docker_socket_group"])
                for name, service in services.items()
                if name in request.local
            }
            settings = {**request.settings, "absent_mounts": facts["absent_mounts"]}
            definitions = {
                name: container_digest.definition_of(service, digests[name], settings)
                for name, service in desired.items()
            }
            labels |= definitions
            present = container_digest.unchanged_of(desired, found.containers, definitions)
            unchanged += present
            bootstrapped += container_digest.bootstrapped_of(desired, found.containers, request.bootstraps)
            current = container_digest.up_to_date_of(desired, present, settings)
            up_to_date += current
            elsewhere = [service["container_name"] for name, service in services.items() if name not in request.local]
            # A container of the same name without this collection's labels does not belong to it.
            orphans = [name for name in elsewhere if name in names and ownership.is_managed(found.by_name[name])]
            orphaned += orphans
            differences[project]["containers"] = [
                *(str(service["container_name"]) for name, service in desired.items() if name not in current),
                *map(str, orphans),
                *project_backups,
            ]
        if project in request.leftovers:
            differences[project]["leftovers"] = leftovers_of(request, project, found, retained)
            leftover_lines += leftover_texts(differences[project]["leftovers"], found)
    if request.host:
        findings += preflight.host_findings(exclude_ports(request.host, up_to_date))
    for project, resources in comparison.differences().items():
        differences[project]["resources"] = resources
    return {
        "changed": False,
        **facts,
        "differences": differences,
        "unchanged": unchanged,
        "bootstrapped": bootstrapped,
        "up_to_date": up_to_date,
        "orphaned": orphaned,
        "leftovers": leftover_lines,
        "absent_images": [image for image, exists in images.items() if not exists],
        "unmet_requirements": unmet_requirements(request, found),
        "docker": engine,
        "existing": existing,
        "backups": backups,
        "digests": digests,
        "definitions": labels,
        "retained_volumes": [f"volume {volume} ({reason})" for volume, reason in retained.items()],
        "findings": findings,
        "options": options,
    }


def local_images(request: Request) -> list[str]:
    """Return the images of the services of this host, without duplicates."""
    services = [services[name] for services in request.projects.values() for name in services if name in request.local]
    return list(dict.fromkeys(str(service["image"]) for service in services))


def owner_findings(request: Request, found: Found) -> list[str]:
    """Return findings about claimed objects of another deployment or, with `unmanaged`, of no deployment."""
    claims = {kind: request.claimed(kind) for kind in ("container", "volume", "network")}
    by_name = found.by_name
    labels = {
        "container": {name: container.get("Labels") or {} for name, container in by_name.items()},
        "volume": found.volumes,
        "network": found.networks,
    }
    directories = [request.root / service for services in request.projects.values() for service in services]
    findings = ownership.owner_findings(request.deployment, claims, labels, directories, found.containers)
    findings += ownership.network_findings(claims["network"], found.networks)
    if request.unmanaged:
        listed = [
            {"name": name, "labels": labels["container"][name], "state": item["State"], "image": item["Image"]}
            for name, item in by_name.items()
        ]
        findings += preflight_checks.container_findings(claims["container"], listed)
    return findings


def unmet_requirements(request: Request, found: Found) -> dict[str, list[Mapping[str, Any]]]:
    """Return the requirements that the host does not meet, by project."""
    running = {name for name, container in found.by_name.items() if container["State"] == "running"}
    return {
        project: [
            item
            for item in requirements
            if ("container" in item and found.known and item["container"] not in running)
            or ("directory" in item and not Path(item["directory"]).is_dir())
        ]
        for project, requirements in request.requirements.items()
    }


def unreachable_findings(request: Request, reason: str) -> list[str]:
    """Return a finding if a deployment is to be removed while Docker cannot list its containers and volumes."""
    paths = [path for leftovers in request.leftovers.values() for path in leftovers["paths"] if Path(path).exists()]
    return [f"{reason}; containers and volumes cannot be removed; start Docker and run again"] if paths else []


def swarm_objects(docker: DockerApi, leftovers: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the Swarm services and configs of functions in the networks that destroy removes, by kind."""
    labels = [f"{ownership.INSTANCE}={network}" for network in leftovers["networks"]]
    return {
        kind: [name for label in labels for name in docker.swarm_names(kind, label)] for kind in ("services", "configs")
    }


def retained_volumes(request: Request, found: Found) -> dict[str, str]:
    """Return the volumes of removed projects that destroy retains, with the reason.

    Destroy retains volumes that containers outside of the run use, and those of the operator: only *_extra_volumes
    name them, and this deployment did not create them.
    """
    names, instances = request.claimed("container"), request.claimed("network")
    users = ownership.volume_users(found.containers)
    retained: dict[str, str] = {}
    for leftovers in request.leftovers.values():
        for volume in leftovers["volumes"]:
            remaining_users = [
                ownership.name_of(container)
                for container in users.get(volume) or []
                if not ownership.is_removed(container, request.deployment, names, instances)
            ]
            labels = found.volumes.get(volume)
            if remaining_users:
                retained[volume] = f"used by {', '.join(remaining_users)}"
            elif (
                volume in leftovers["extra_volumes"]
                and labels is not None
                and labels.get(ownership.DEPLOYMENT) != request.deployment
            ):
                retained[volume] = "only in *_extra_volumes"
    return retained


def leftovers_of(request: Request, project: str, found: Found, retained: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the objects of a project on the host that destroy removes, by kind, without empty kinds."""
    leftovers, names = request.leftovers[project], found.by_name
    paths = [*leftovers["paths"], *backup_paths(request.projects[project], request.root)]
    kinds = {
        "containers": [name for name in request.claims[project]["container"] if name in names],
        "volumes": [name for name in leftovers["volumes"] if name in found.volumes and name not in retained],
        "networks": [name for name in leftovers["networks"] if name in found.networks],
        "paths": [path for path in paths if Path(path).exists()],
        "worker_volumes": [
            name for name, labels in found.volumes.items() if labels.get(ownership.INSTANCE) in leftovers["networks"]
        ],
        **found.swarm.get(project, {}),
    }
    return {kind: list(dict.fromkeys(names)) for kind, names in kinds.items() if names}


def leftover_texts(leftovers: Mapping[str, list[str]], found: Found) -> list[str]:
    """Return a message for each leftover object, with the containers that use it."""
    users = ownership.volume_users(found.containers)
    texts = []
    for kind, names in leftovers.items():
        for name in names:
            using = [ownership.name_of(container) for container in users.get(name) or []] if "volume" in kind else []
            used = f", used by {', '.join(using)}" if using else ""
            texts.append(f"{_KINDS[kind]} {name} still exists{used}; remove it, or run destroy again")
    return texts


def file_differences(request: Request, differences: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Add changed files to `differences`, and return the digests of the services' files."""
    files = dict(request.files or {})
    elsewhere = [name for services in request.projects.values() for name in services if name not in request.local]
    changed = [
        Path(change.path) for change in reconcile(request.root, files, elsewhere, *request.owner, check=True).changes
    ]
    for project, services in request.projects.items():
        differences[project]["files"] = [str(path) for path in changed if belongs(path, request.root, services)]
    return {name: digest(service_files) for name, service_files in files.items()}


def backups_of(
    services: Mapping[str, Mapping[str, Any]], root: Path, listed: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the backups of services that an interrupted run left: containers and paths.

    `listed` are the containers on the host by name.
    """
    containers = {name: str(service["container_name"]) for name, service in services.items()}
    return [
        *(
            container + service_backup.SUFFIX
            for name, container in containers.items()
            if service_backup.backup_of(name, container, listed)
        ),
        *(path for path in backup_paths(services, root) if Path(path).exists()),
    ]


def backup_paths(services: Iterable[str], root: Path) -> list[str]:
    """Return the possible directories of backups of services' configuration."""
    suffixes = ("", service_backup.UNFINISHED)
    return [str(root / f"{service_backup.PREFIX}{name}{suffix}") for name in services for suffix in suffixes]


def belongs(path: Path, root: Path, services: Iterable[str]) -> bool:
    """Return whether a changed path belongs to the services of a project; `root` and its parents belong to all."""
    return root not in path.parents or path.relative_to(root).parts[0] in set(services)


def exclude_ports(host: Mapping[str, Any], up_to_date: Iterable[str]) -> dict[str, Any]:
    """Return the input of preflight without the ports that services which are up to date listen on."""
    excluded = set(up_to_date)
    return {**host, "ports": [port for port in host["ports"] if port["of"] not in excluded]}

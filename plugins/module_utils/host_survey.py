# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""One look at everything that a host has of this collection's projects, held against what is wanted.

What the controller made of the operator's files comes in (see the action plugin `survey`); out goes what is wrong,
and, project by project, what is not as wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils import definitions, host_look, option_check, wants
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import SOCKET, DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils.tree import WantedFile, digest, reconcile

# What containers mount where the host has it.
MOUNTS = ("/etc/localtime", "/etc/timezone", SOCKET)
# States of a container that has processes.
_RUNNING = ("running", "paused", "restarting")


@dataclass
class Request:
    """What the controller asks.

    `projects` are the services of each project, those of other hosts included; `here` are those that belong on this
    host. `files`, `settings`, `host`, `options`, `wants` and `remains` are looked at where they are given: the files of
    each service here, what its container is made with, what host_look, option_check and wants take, and the volumes,
    networks and directories by project that a removed one leaves none of. `kept` are the containers and directories
    by project that an interrupted upgrade may have left aside.
    """

    root: Path
    owner: tuple[int, int]
    projects: Mapping[str, Mapping[str, Mapping[str, Any]]]
    here: list[str]
    files: Mapping[str, list[WantedFile]] | None = None
    settings: Mapping[str, Any] | None = None
    host: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    wants: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    remains: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    kept: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)


def host_facts() -> dict[str, Any]:
    """Returns which of MOUNTS the host lacks, as `docker run --volume` has them, and the group of its socket."""
    return {
        "absent_mounts": [f"{path}:{path}:ro" for path in MOUNTS if not Path(path).exists()],
        "docker_socket_group": Path(SOCKET).stat().st_gid if Path(SOCKET).exists() else 0,
    }


def with_group(service: Mapping[str, Any], group: int) -> dict[str, Any]:
    """Takes a service's entry and the number of the group of Docker's socket, returns the entry with it."""
    groups = service.get("groups") or []
    if definitions.SOCKET_GROUP not in groups:
        return dict(service)
    return {**service, "groups": [str(group) if name == definitions.SOCKET_GROUP else name for name in groups]}


def survey(request: Request) -> dict[str, Any]:
    """Takes a request, returns the result of the module survey; raises tree.TreeError where no directory is safe."""
    facts = host_facts()
    looks = wants.Looks(request.wants)
    missing: dict[str, dict[str, Any]] = {project: {} for project in request.projects}
    digests = files_missing(request, missing) if request.files is not None else {}

    docker = DockerApi(SOCKET)
    options: dict[str, Any] = {"found": [], "validated": [], "not_validated": {}}
    made: list[str] = []
    settled: list[str] = []
    surplus: list[str] = []
    try:
        listing = docker.listing()
        if request.options:
            options = option_check.validate(docker, dict(request.options))
        volumes, networks = (docker.volumes(), docker.networks()) if request.remains else ([], [])
    except DockerUnreachableError as error:
        listing, volumes, networks = [], [], []
        reason = f"Docker on {SOCKET} does not answer: {error}"
        options["not_validated"] = {check["service"]: reason for check in (request.options or {}).get("checks") or []}

    names = {name.lstrip("/"): container["State"] for container in listing for name in container["Names"]}
    for project, services in request.projects.items():
        own = [str(service["container_name"]) for service in services.values()]
        missing[project]["running"] = [name for name in own if names.get(name) in _RUNNING]
        if request.settings is not None:
            wanted = {
                name: with_group(service, facts["docker_socket_group"])
                for name, service in services.items()
                if name in request.here
            }
            settings = {**request.settings, "absent_mounts": facts["absent_mounts"]}
            present = definitions.made_of(wanted, listing, digests, settings)
            made += present
            fit = definitions.settled_of(wanted, present, settings)
            settled += fit
            foreign = [service["container_name"] for name, service in services.items() if name not in request.here]
            surplus += [name for name in foreign if name in names]
            missing[project]["containers"] = [
                *(str(service["container_name"]) for name, service in wanted.items() if name not in fit),
                *(str(name) for name in foreign if name in names),
                *kept_aside(request.kept.get(project) or {}, names),
            ]
        if project in request.remains:
            remains = request.remains[project]
            missing[project]["remains"] = [
                *(name for name in own if name in names),
                *kept_aside(request.kept.get(project) or {}, names),
                *(name for name in remains["volumes"] if name in volumes),
                *(name for name in remains["networks"] if name in networks),
                *(path for path in remains["paths"] if Path(path).exists()),
            ]
    findings = host_look.host_findings(without(request.host, settled)) if request.host else []
    for project, found in looks.missing().items():
        missing[project]["wants"] = found
    judged = {"missing": missing, "made": made, "settled": settled, "surplus": surplus}
    return {"changed": False, **facts, **judged, "findings": findings, "options": options}


def files_missing(request: Request, missing: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Takes a request, and what is missing, to which the files are added; returns the digests of services' files."""
    files = dict(request.files or {})
    elsewhere = [name for services in request.projects.values() for name in services if name not in request.here]
    changed = [
        Path(change.path) for change in reconcile(request.root, files, elsewhere, *request.owner, check=True).changes
    ]
    for project, services in request.projects.items():
        missing[project]["files"] = [str(path) for path in changed if belongs(path, request.root, services)]
    return {name: digest(of_service) for name, of_service in files.items()}


def kept_aside(kept: Mapping[str, list[str]], names: Iterable[str]) -> list[str]:
    """Takes what an upgrade may have left aside, and names of containers; returns what of it is there."""
    there = set(names)
    return [
        *(name for name in kept.get("containers") or [] if name in there),
        *(path for path in kept.get("paths") or [] if Path(path).exists()),
    ]


def belongs(path: Path, root: Path, services: Iterable[str]) -> bool:
    """Takes a path that is to change, the root of all and a project's services; tells whether it concerns them.

    What lies above all services concerns every project.
    """
    return root not in path.parents or path.relative_to(root).parts[0] in set(services)


def without(host: Mapping[str, Any], settled: Iterable[str]) -> dict[str, Any]:
    """Takes what host_look is asked, and settled services; returns it without the ports, which they themselves hold."""
    done = set(settled)
    return {**host, "ports": [port for port in host["ports"] if port["of"] not in done]}

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What on a host is in the way of a deployment: ports, Docker, images, names of containers, room, directories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import (
    SOCKET,
    DockerApi,
    DockerRefusedError,
    DockerUnreachableError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._plan import preflight_checks

MINIMUM_VERSION = "20.10"


def image_findings(docker: DockerApi, images: list[str]) -> list[str]:
    """Return which images are neither on the host nor in their registry; ask an unreachable registry only once."""
    findings = []
    dead: dict[str, str] = {}
    for image in dict.fromkeys(images):
        if docker.has_image(image):
            continue
        registry = preflight_checks.registry_of(image)
        if registry in dead:
            continue
        try:
            status, message = docker.registry_answer(image)
        except DockerUnreachableError as error:
            status, message = 500, str(error)
        problem = preflight_checks.registry_problem(status, message)
        if problem == "unreachable":
            dead[registry] = message
            findings.append(
                f"registry {registry} can not be reached ({message}), and image {image} is not on the host; "
                "check docker_registry and the network, or build the images"
            )
        elif problem == "denied":
            findings.append(
                f"image {image} is not on the host, and registry {registry} denies it; "
                "check its name; if it needs a login, log in on the host (docker login) and pull it (playbook pull)"
            )
        elif problem:
            findings.append(
                f"image {image} is neither on the host nor in registry {registry}; check its name and tag, or build it"
            )
    return findings


def refused_finding(socket: str, error: DockerRefusedError) -> str:
    """Return the message for an engine that answers with an error where it lists what it has."""
    return f"Docker on {socket} answers with an error: {error}; correct that, and run the same again"


def listeners() -> list[preflight_checks.Listener]:
    """Returns every TCP socket that listens in the host's network namespace."""
    found = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(path).exists():
            found += preflight_checks.parse_listeners(Path(path).read_text())
    return found


def connected() -> dict[str, list[preflight_checks.Subnet]]:
    """Return the IPv4 networks that the host itself is in, by interface."""
    path = Path("/proc/net/route")
    return preflight_checks.parse_connected(path.read_text()) if path.exists() else {}


def host_findings(host: Mapping[str, Any]) -> list[str]:
    """Return everything on the host that is in the way of a deployment.

    `host` has `ports` ``{port, address, service, containers}``, whose `containers` may hold the port, as they are this
    deployment's own; `files` ``{name, path}`` and `subnets` ``{name, network, subnet}``, each with the variable's name;
    `images`, `containers` and `writable` with names or paths; and `docker`, whether Docker has to run already.
    """
    findings: list[str] = []
    containers: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    docker = DockerApi(SOCKET)
    try:
        version = str(docker.version().get("Version", ""))
        findings += filter(None, [preflight_checks.version_finding(version, MINIMUM_VERSION)])
        containers = docker.containers()
        networks = docker.found("/networks") if host["subnets"] else []
        findings += image_findings(docker, host["images"])
    except DockerUnreachableError as error:
        # Ports are checked all the same.
        if host["docker"]:
            findings.append(
                f"the Docker engine does not answer at {SOCKET}: {error}; "
                "start or install it (playbook qinling.kolla.bootstrap_servers)"
            )
    except DockerRefusedError as error:
        findings.append(refused_finding(SOCKET, error))
    findings += preflight_checks.subnet_findings(host["subnets"], networks, connected())
    findings += preflight_checks.container_findings(host["containers"], containers)
    findings += preflight_checks.port_findings(host["ports"], containers, listeners())
    findings += preflight_checks.writable_findings(host["writable"])
    findings += preflight_checks.file_findings(host["files"])
    return findings

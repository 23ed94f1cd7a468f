# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Check whether a host is ready for a deployment: ports, Docker, images, container names, subnets, directories."""

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
    """Return findings about images that are neither on the host nor in their registry.

    An unreachable registry is queried and reported only once.
    """
    findings = []
    unreachable: set[str] = set()
    for image in dict.fromkeys(images):
        if docker.has_image(image):
            continue
        registry = preflight_checks.registry_of(image)
        if registry in unreachable:
            continue
        try:
            status, message = docker.registry_status(image)
        except DockerUnreachableError as error:
            status, message = 500, str(error)
        problem = preflight_checks.registry_problem(status, message)
        if problem == "unreachable":
            unreachable.add(registry)
            findings.append(
                f"registry {registry} cannot be reached ({message}), and image {image} is not on the host; "
                "check docker_registry and the network, or build the images"
            )
        elif problem == "denied":
            findings.append(
                f"image {image} is not on the host, and registry {registry} denies access to the image; "
                "check its name; if it needs a login, log in on the host (docker login) and pull it (playbook pull)"
            )
        elif problem:
            findings.append(
                f"image {image} is neither on the host nor in registry {registry}; check its name and tag, or build it"
            )
    return findings


def refused_finding(socket: str, error: DockerRefusedError) -> str:
    """Return the finding for an engine that answers a list request with an error."""
    return f"Docker on {socket} answers with an error: {error}; correct the cause and run the same command again"


def listeners() -> list[preflight_checks.Listener]:
    """Return all listening TCP sockets in the host's network namespace."""
    found = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(path).exists():
            found += preflight_checks.parse_listeners(Path(path).read_text())
    return found


def connected() -> dict[str, list[preflight_checks.Subnet]]:
    """Return the IPv4 networks of the host, by interface."""
    path = Path("/proc/net/route")
    return preflight_checks.parse_connected(path.read_text()) if path.exists() else {}


def host_findings(host: Mapping[str, Any]) -> list[str]:
    """Return all findings about the host.

    `host` has `ports` ``{port, address, service, containers}``, whose `containers` of this deployment may use the port;
    `files` ``{name, path}`` and `subnets` ``{name, network, subnet}``, each with the variable's name; `images`,
    `containers` and `writable` with names or paths; and `docker`, whether Docker has to be running already.
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
        # Ports are checked anyway.
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

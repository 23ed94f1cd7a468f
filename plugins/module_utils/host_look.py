# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What on a host is in the way of a deployment: ports, Docker, images, names of containers, room, directories."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils import host_checks, ownership
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import (
    SOCKET,
    DockerApi,
    DockerRefusedError,
    DockerUnreachableError,
)

# What is looked for, and how, unless something else is asked.
DEFAULTS: dict[str, Any] = {
    "ports": [],
    "docker": True,
    "docker_socket": SOCKET,
    "docker_minimum_version": "20.10",
    "images": [],
    "registry_username": None,
    "registry_password": None,
    "containers": [],
    "label": ownership.MANAGED,
    "disk": [],
    "writable": [],
    "files": [],
    "subnets": [],
}


def image_findings(docker: DockerApi, images: list[str], username: str | None, password: str | None) -> list[str]:
    """Takes the engine, images and credentials, returns which images can not be had; asks a dead registry once."""
    auth = ""
    if username:
        auth = base64.urlsafe_b64encode(json.dumps({"username": username, "password": password}).encode()).decode()
    findings = []
    dead: dict[str, str] = {}
    for image in dict.fromkeys(images):
        if docker.has_image(image):
            continue
        registry = host_checks.registry_of(image)
        if registry in dead:
            continue
        try:
            status, message = docker.registry_answer(image, auth)
        except DockerUnreachableError as error:
            status, message = 500, str(error)
        problem = host_checks.registry_problem(status, message)
        if problem == "unreachable":
            dead[registry] = message
            findings.append(
                f"registry {registry} can not be reached ({message}), and image {image} is not on the host; "
                "check docker_registry and the network, or build the images"
            )
        elif problem == "denied":
            findings.append(
                f"image {image} is not on the host, and registry {registry} denies it; "
                "check its name, docker_registry_username and docker_registry_password"
            )
        elif problem:
            findings.append(
                f"image {image} is neither on the host nor in registry {registry}; check its name and tag, or build it"
            )
    return findings


def refused_finding(socket: str, error: DockerRefusedError) -> str:
    """Return the message for an engine that answers with an error where it lists what it has."""
    return f"Docker on {socket} answers with an error: {error}; correct that, and run the same again"


def listeners() -> list[host_checks.Listener]:
    """Returns every TCP socket that listens in the host's network namespace."""
    found = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(path).exists():
            found += host_checks.parse_listeners(Path(path).read_text())
    return found


def connected() -> dict[str, list[host_checks.Subnet]]:
    """Return the IPv4 networks that the host itself is in, by interface."""
    path = Path("/proc/net/route")
    return host_checks.parse_connected(path.read_text()) if path.exists() else {}


def host_findings(asked: Mapping[str, Any]) -> list[str]:
    """Takes what is asked beside DEFAULTS, returns everything that is wrong.

    `ports` are ``{port, address, service, containers}``, `disk` ``{path, free_mb}``, `files` ``{name, path}`` and
    `subnets` ``{name, network, subnet}`` with the variable's name, the others names or paths;
    `containers` of a port may hold it, as they are this deployment's own.
    """
    params = {**DEFAULTS, **asked}
    findings: list[str] = []
    containers: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    docker = DockerApi(params["docker_socket"])
    try:
        version = str(docker.version().get("Version", ""))
        findings += filter(None, [host_checks.version_finding(version, params["docker_minimum_version"])])
        containers = docker.containers()
        networks = docker.found("/networks") if params["subnets"] else []
        findings += image_findings(docker, params["images"], params["registry_username"], params["registry_password"])
    except DockerUnreachableError as error:
        # Without an engine, ports are looked at all the same.
        if params["docker"] or params["images"] or params["containers"]:
            findings.append(
                f"the Docker engine does not answer at {params['docker_socket']}: {error}; "
                "start or install it (playbook qinling.kolla.bootstrap_servers)"
            )
    except DockerRefusedError as error:
        findings.append(refused_finding(params["docker_socket"], error))
    findings += host_checks.subnet_findings(params["subnets"], networks, connected())
    findings += host_checks.container_findings(params["containers"], containers, params["label"])
    findings += host_checks.port_findings(params["ports"], containers, params["label"], listeners())
    findings += host_checks.disk_findings(params["disk"])
    findings += host_checks.writable_findings(params["writable"])
    findings += host_checks.file_findings(params["files"])
    return findings

#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: host_check
short_description: Tell what on a host is in the way of a deployment
version_added: 0.1.0
description:
  - Looks at ports, the Docker engine, images, containers' names, disk space and directories, and returns everything
    that is wrong at once. Changes nothing, and fails only if it can not look.
  - M(qinling.kolla.precheck) calls it and reports its findings along with those of the controller.
author:
  - the qinling.kolla authors
options:
  ports:
    description: TCP ports that services are to listen on.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port.
        type: int
        required: true
      address:
        description: The address to listen on.
        type: str
        default: 0.0.0.0
      service:
        description: Who wants it, for the message.
        type: str
      containers:
        description: Containers that may hold it, if they have O(label); they are this deployment's own.
        type: list
        elements: str
        default: []
  docker:
    description: Whether the Docker engine has to answer. Implied by O(images) and O(containers).
    type: bool
    default: true
  docker_socket:
    description: The engine's socket.
    type: path
    default: /var/run/docker.sock
  docker_minimum_version:
    description: The oldest engine that will do.
    type: str
    default: "20.10"
  images:
    description: Images that have to be there, or that their registry has to offer.
    type: list
    elements: str
    default: []
  registry_username:
    description: User at the registry.
    type: str
  registry_password:
    description: Password at the registry.
    type: str
  containers:
    description: Names of containers that are going to be created.
    type: list
    elements: str
    default: []
  label:
    description: Label of the containers that were made by this collection.
    type: str
    default: qinling.kolla/managed
  disk:
    description: Room that is needed.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: A directory, there or to be created.
        type: path
        required: true
      free_mb:
        description: Megabytes that have to be free.
        type: int
        required: true
  writable:
    description: Directories, there or to be created, that have to be writable.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Precheck | Look at the host
  qinling.kolla.host_check:
    ports:
      - port: "{{ qinling_api_port }}"
        address: "{{ api_interface_address }}"
        service: qinling-api
        containers: [qinling_api]
    containers: [qinling_api, qinling_engine]
    images: ["{{ qinling_api_image_full }}"]
    disk:
      - path: /var/lib/docker
        free_mb: 4096
    writable: ["{{ node_config_directory }}"]
  register: host
"""

RETURN = r"""
findings:
  description: What is wrong, one text each. Empty when nothing is.
  returned: always
  type: list
  elements: str
  sample:
    - port 7070 on 127.0.0.1 for qinling-api is held by process nginx (pid 812); stop it or set another port or address
docker_version:
  description: The engine's version, empty when it does not answer or was not asked.
  returned: always
  type: str
"""

import base64
import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils import host_checks
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import DockerApi, DockerUnreachableError


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


def listeners() -> list[host_checks.Listener]:
    """Returns every TCP socket that listens in the host's network namespace."""
    found = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(path).exists():
            found += host_checks.parse_listeners(Path(path).read_text())
    return found


def check(params: dict[str, Any]) -> dict[str, Any]:
    """Takes the module's parameters, returns its result."""
    findings: list[str] = []
    containers: list[dict[str, Any]] = []
    version = ""
    docker = DockerApi(params["docker_socket"])
    try:
        version = str(docker.version().get("Version", ""))
        findings += filter(None, [host_checks.version_finding(version, params["docker_minimum_version"])])
        containers = docker.containers()
        findings += image_findings(docker, params["images"], params["registry_username"], params["registry_password"])
    except DockerUnreachableError as error:
        # Without an engine, ports are looked at all the same.
        if params["docker"] or params["images"] or params["containers"]:
            findings.append(
                f"the Docker engine does not answer at {params['docker_socket']}: {error}; "
                "start or install it (playbook bootstrap-servers)"
            )
    findings += host_checks.container_findings(params["containers"], containers, params["label"])
    findings += host_checks.port_findings(params["ports"], containers, params["label"], listeners())
    findings += host_checks.disk_findings(params["disk"])
    findings += host_checks.writable_findings(params["writable"])
    return {"changed": False, "findings": findings, "docker_version": version}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ports": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "port": {"type": "int", "required": True},
                    "address": {"type": "str", "default": "0.0.0.0"},  # noqa: S104
                    "service": {"type": "str"},
                    "containers": {"type": "list", "elements": "str", "default": []},
                },
            },
            "docker": {"type": "bool", "default": True},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
            "docker_minimum_version": {"type": "str", "default": "20.10"},
            "images": {"type": "list", "elements": "str", "default": []},
            "registry_username": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
            "containers": {"type": "list", "elements": "str", "default": []},
            "label": {"type": "str", "default": "qinling.kolla/managed"},
            "disk": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "free_mb": {"type": "int", "required": True},
                },
            },
            "writable": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(**check(module.params))


if __name__ == "__main__":
    main()

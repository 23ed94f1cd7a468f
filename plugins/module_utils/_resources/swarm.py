# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A Docker Swarm and the networks of functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Compared

_SECONDS = 10


class Swarm(Compared):
    """The Swarm that a Docker manages, and networks.

    Keys: `docker_host`, and `networks`, each with `name` and `driver`, maybe `attachable`, `internal` and `subnet`
    (empty is any). roles/qinling/tasks/swarm.yml applies it with modules of community.docker: hosts join with a token
    of another host, and the Docker may be a remote one.
    """

    def differences(self) -> list[str]:
        """Read the Swarm and the networks of a Docker on this host."""
        scheme, _colon, path = str(self.desired["docker_host"]).partition("://")
        if scheme != "unix":
            return [f"state of the Swarm on {self.desired['docker_host']} unknown"]
        docker = DockerApi(path, _SECONDS)
        _status, info = docker.get("/info")
        if not (info.get("Swarm") or {}).get("ControlAvailable"):
            return ["a Swarm that this Docker manages"]
        return [f"network {network['name']}" for network in self.desired["networks"] if not _fits(docker, network)]


def _fits(docker: DockerApi, desired: Mapping[str, Any]) -> bool:
    """Return whether Docker has the desired network."""
    status, found = docker.get(f"/networks/{quote(desired['name'])}")
    if status != 200:
        return False
    subnets = [config.get("Subnet") for config in (found.get("IPAM") or {}).get("Config") or []]
    keys = ("driver", "attachable", "internal")
    fits = all(found[key.capitalize()] == desired[key] for key in keys if key in desired)
    return fits and (not desired.get("subnet") or desired["subnet"] in subnets)

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Docker Swarm, and the networks of functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Compared

_SECONDS = 10


class Swarm(Compared):
    """A Swarm and its networks.

    Keys: `docker_host`, and `networks`, each with `name` and `driver`, and optional `attachable`, `internal` and
    `subnet` (empty: any). roles/qinling/tasks/swarm.yml applies them with modules of community.docker, because hosts
    join with a token of another host, and the engine may be remote.
    """

    def differences(self) -> list[str]:
        """Return differences of the Swarm and its networks; the state of a remote engine is unknown."""
        scheme, _colon, path = str(self.desired["docker_host"]).partition("://")
        if scheme != "unix":
            return [f"state of the Swarm on {self.desired['docker_host']} unknown"]
        docker = DockerApi(path, _SECONDS)
        _status, info = docker.get("/info")
        if not (info.get("Swarm") or {}).get("ControlAvailable"):
            return ["Swarm manager on this host"]
        return [f"network {network['name']}" for network in self.desired["networks"] if not _matches(docker, network)]


def _matches(docker: DockerApi, desired: Mapping[str, Any]) -> bool:
    """Return whether the desired network exists."""
    status, found = docker.get(f"/networks/{quote(desired['name'])}")
    if status != 200:
        return False
    subnets = [config.get("Subnet") for config in (found.get("IPAM") or {}).get("Config") or []]
    keys = ("driver", "attachable", "internal")
    matches = all(found[key.capitalize()] == desired[key] for key in keys if key in desired)
    return matches and (not desired.get("subnet") or desired["subnet"] in subnets)

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Resources that a project needs besides files and containers, and how the present state of each differs.

A resource is a mapping with a `kind` and what that kind needs. Where nothing differs, no task has to apply it; where
the present state is unknown, it counts as a difference, and the task that applies it reports why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.qinling.kolla.plugins.module_utils import registration
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import SOCKET, DockerApi
from ansible_collections.qinling.kolla.plugins.module_utils.qinling_api import Qinling

Resource = Mapping[str, Any]
_SECONDS = 10


def database_differences(resource: Resource) -> list[str]:
    """Take `host`, `port`, `user`, `password`, `name` of the schema and maybe `ca_cert`; log in and read the grants."""
    import pymysql  # only where a database is wanted, as the library is needed there alone

    connection = pymysql.connect(
        host=resource["host"],
        port=int(resource["port"]),
        user=resource["user"],
        password=resource["password"],
        database=resource["name"],
        ssl={"ca": resource["ca_cert"]} if resource.get("ca_cert") else None,
        connect_timeout=_SECONDS,
        read_timeout=_SECONDS,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [str(row[0]) for row in cursor.fetchall()]
    wanted = f"GRANT ALL PRIVILEGES ON `{resource['name']}`."
    # MariaDB escapes what would be a wildcard in a schema's name.
    found = any(grant.replace("\\", "").startswith(wanted) for grant in grants)
    return [] if found else [f"privileges of {resource['user']} on schema {resource['name']}"]


def keystone_service_differences(resource: Resource) -> list[str]:
    """Takes what `registration.look` takes, logs in at Keystone as each of the users.

    With `endpoint` and `runtimes`, one of them asks Qinling for its runtimes as well, without another log-in.
    """
    found = registration.look({**resource, "wait": 0})
    missing: list[str] = found["missing"]
    if resource.get("runtimes") and found["client"]:
        missing += runtimes_differences(resource, found["client"].at(resource["endpoint"]))
    return missing


def swarm_differences(resource: Resource) -> list[str]:
    """Takes `docker_host` and `networks` (see `_network_fits`); asks that Docker for its Swarm and its networks."""
    scheme, _colon, path = str(resource["docker_host"]).partition("://")
    if scheme != "unix":
        return [f"a look at the Docker of {resource['docker_host']}"]
    docker = DockerApi(path, _SECONDS)
    _status, info = docker.get("/info")
    if not (info.get("Swarm") or {}).get("ControlAvailable"):
        return ["a Swarm that this Docker manages"]
    return [f"network {network['name']}" for network in resource["networks"] if not _network_fits(docker, network)]


def _network_fits(docker: DockerApi, wanted: Mapping[str, Any]) -> bool:
    """Tell whether Docker has a network with the name, driver and so on that are `wanted`; an empty subnet is any."""
    status, found = docker.get(f"/networks/{quote(wanted['name'])}")
    if status != 200:
        return False
    subnets = [config.get("Subnet") for config in (found.get("IPAM") or {}).get("Config") or []]
    fits = all(found[key.capitalize()] == wanted[key] for key in ("driver", "attachable", "internal") if key in wanted)
    return fits and (not wanted.get("subnet") or wanted["subnet"] in subnets)


def runtimes_differences(resource: Resource, client: Qinling | None = None) -> list[str]:
    """Takes `runtimes` (`name`, `image`, maybe `trusted`), and who is logged in, else `endpoint`, `auth`, `ca_cert`."""
    api = client or Qinling({**resource, "ca_cert": resource.get("ca_cert"), "wait": 0})
    there = {runtime["name"]: runtime for runtime in api.list("runtime")}
    return [
        f"runtime {wanted['name']}"
        for wanted in resource["runtimes"]
        if not _is_as_wanted(there.get(wanted["name"]) or {}, wanted)
    ]


def _is_as_wanted(runtime: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    trusted = wanted.get("trusted")
    return (
        runtime.get("status") == "available"
        and runtime.get("image") == wanted["image"]
        and (trusted is None or bool(runtime.get("trusted")) == bool(trusted))
    )


def file_differences(resource: Resource) -> list[str]:
    """Takes `path`, `content`, `container`, `inside`; looks whether the host, and the container, have a file so."""
    path, content = Path(resource["path"]), str(resource["content"]).encode()
    if not path.is_file() or path.read_bytes() != content:
        return [str(path)]
    there = DockerApi(SOCKET, _SECONDS).file(resource["container"], resource["inside"])
    return [] if there == content else [f"{resource['inside']} in {resource['container']}"]


def static_differences(resource: Resource) -> list[str]:
    """Take `differences`: those that the controller already knows."""
    return [str(word) for word in resource["differences"]]


KINDS: dict[str, Callable[[Resource], list[str]]] = {
    "database": database_differences,
    "keystone_service": keystone_service_differences,
    "swarm": swarm_differences,
    "runtimes": runtimes_differences,
    "file": file_differences,
    "static": static_differences,
}


def differences(resource: Resource) -> list[str]:
    """Return how a resource differs, or the kind of error that kept its present state unknown."""
    try:
        return KINDS[resource["kind"]](resource)
    except Exception as error:  # the work that brings it about finds out, and says it in full
        return [f"{resource['kind']}: {type(error).__name__}"]


class Comparison:
    """All resources, compared at once in the background until the result is needed."""

    def __init__(self, by_project: Mapping[str, list[Resource]]) -> None:
        """Take resources by project."""
        self._pool = ThreadPoolExecutor(max_workers=max(1, sum(map(len, by_project.values()))))
        self._results = {
            project: [(str(resource["kind"]), self._pool.submit(differences, resource)) for resource in of_project]
            for project, of_project in by_project.items()
        }

    def differences(self) -> dict[str, dict[str, list[str]]]:
        """Return what differs by project and kind; kinds without a difference are left out."""
        self._pool.shutdown()
        found: dict[str, dict[str, list[str]]] = {project: {} for project in self._results}
        for project, results in self._results.items():
            for kind, result in results:
                if words := result.result():
                    found[project].setdefault(kind, []).extend(words)
        return found

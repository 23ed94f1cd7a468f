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

from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import identity
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import SOCKET, DockerApi
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import keystone_service
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import Qinling

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


def keystone_service_differences(resource: Resource) -> dict[str, list[str]]:
    """Take what `keystone_service.look` takes; log in at Keystone as each of the users.

    With `endpoint` and `runtimes`, one of them reads the runtimes of Qinling as well, without another login.
    """
    found = keystone_service.look({**resource, "wait": 0})
    runtimes = [_runtime(wanted) for wanted in resource.get("runtimes") or []]
    if runtimes and found["client"]:
        runtimes = runtimes_differences(resource, found["client"].at(resource["endpoint"]))
    return {"keystone_service": found["missing"], "runtimes": runtimes}


def swarm_differences(resource: Resource) -> list[str]:
    """Takes `docker_host` and `networks` (see `_network_fits`); asks that Docker for its Swarm and its networks."""
    scheme, _colon, path = str(resource["docker_host"]).partition("://")
    if scheme != "unix":
        return [f"state of the Swarm on {resource['docker_host']} unknown"]
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
    """Take `runtimes` (`name`, `image`, maybe `trusted`), and who is logged in, or `endpoint`, `auth`, `ca_cert`."""
    api = client or Qinling({**resource, "ca_cert": resource.get("ca_cert"), "wait": 0})
    present = {runtime["name"]: runtime for runtime in api.list("runtime")}
    return [
        _runtime(wanted)
        for wanted in resource["runtimes"]
        if not _runtime_fits(present.get(wanted["name"]) or {}, wanted)
    ]


def _runtime(wanted: Mapping[str, Any]) -> str:
    return f"runtime {wanted['name']}"


def _runtime_fits(runtime: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    trusted = wanted.get("trusted")
    return (
        runtime.get("status") == "available"
        and runtime.get("image") == wanted["image"]
        and (trusted is None or bool(runtime.get("trusted")) == bool(trusted))
    )


def file_differences(resource: Resource) -> list[str]:
    """Take `path`, `content`, `owner`, `group` and `mode` of a file on the host, and where a container has it.

    The copy in the `container` is `inside`; only its content counts, as it belongs to the container's own user.
    """
    path, content = Path(resource["path"]), str(resource["content"]).encode()
    if not path.is_file() or path.read_bytes() != content:
        return [str(path)]
    status = path.stat()
    wanted = (identity(resource["owner"], "user"), identity(resource["group"], "group"), int(resource["mode"], 8))
    if (status.st_uid, status.st_gid, status.st_mode & 0o7777) != wanted:
        return [f"owner or mode of {path}"]
    present = DockerApi(SOCKET, _SECONDS).file(resource["container"], resource["inside"])
    return [] if present == content else [f"{resource['inside']} in {resource['container']}"]


def static_differences(resource: Resource) -> list[str]:
    """Take `differences`: those that the controller already knows."""
    return [str(word) for word in resource["differences"]]


KINDS: dict[str, Callable[[Resource], list[str] | dict[str, list[str]]]] = {
    "database": database_differences,
    "keystone_service": keystone_service_differences,
    "swarm": swarm_differences,
    "runtimes": runtimes_differences,
    "file": file_differences,
    "proxysql": static_differences,
    "static": static_differences,
}


def differences(resource: Resource) -> dict[str, list[str]]:
    """Return how a resource differs by kind, or the kind of error that kept its present state unknown."""
    kind = str(resource["kind"])
    try:
        found = KINDS[kind](resource)
    except Exception as error:  # the task that applies the resource reports it in full
        unknown = [f"{kind}: {type(error).__name__}"]
        return {kind: unknown, "runtimes": unknown} if resource.get("runtimes") else {kind: unknown}
    return found if isinstance(found, dict) else {kind: found}


class Comparison:
    """All resources, compared at once in the background until the result is needed."""

    def __init__(self, by_project: Mapping[str, list[Resource]]) -> None:
        """Take resources by project."""
        self._pool = ThreadPoolExecutor(max_workers=max(1, sum(map(len, by_project.values()))))
        self._results = {
            project: [self._pool.submit(differences, resource) for resource in of_project]
            for project, of_project in by_project.items()
        }

    def differences(self) -> dict[str, dict[str, list[str]]]:
        """Return what differs by project and kind; kinds without a difference are left out."""
        self._pool.shutdown()
        found: dict[str, dict[str, list[str]]] = {project: {} for project in self._results}
        for project, results in self._results.items():
            for kind, words in (item for result in results for item in result.result().items()):
                if words:
                    found[project].setdefault(kind, []).extend(words)
        return found

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What a project wants beside its files and containers, and whether it is so: each answer is a list of what is not.

A want is a mapping with a `kind` and what that kind needs. Where nothing is missing, nobody has to do the work that
would bring it about; where one can not tell, it counts as missing, and that work tells why.
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

Want = Mapping[str, Any]
_SECONDS = 10


def grants_missing(want: Want) -> list[str]:
    """Takes `host`, `port`, `user`, `password`, `schema`, maybe `ca_cert`; logs in, asks for the grants."""
    import pymysql  # only where a database is wanted, as the library is needed there alone

    connection = pymysql.connect(
        host=want["host"],
        port=int(want["port"]),
        user=want["user"],
        password=want["password"],
        database=want["schema"],
        ssl={"ca": want["ca_cert"]} if want.get("ca_cert") else None,
        connect_timeout=_SECONDS,
        read_timeout=_SECONDS,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [str(row[0]) for row in cursor.fetchall()]
    wanted = f"GRANT ALL PRIVILEGES ON `{want['schema']}`."
    # MariaDB escapes what would be a wildcard in a schema's name.
    found = any(grant.replace("\\", "").startswith(wanted) for grant in grants)
    return [] if found else [f"privileges of {want['user']} on schema {want['schema']}"]


def registration_missing(want: Want) -> list[str]:
    """Takes what `registration.look` takes, logs in at Keystone as each of the users.

    With `endpoint` and `runtimes`, one of them asks Qinling for its runtimes as well, without another log-in.
    """
    found = registration.look({**want, "wait": 0})
    missing: list[str] = found["missing"]
    if want.get("runtimes") and found["client"]:
        missing += runtimes_missing(want, found["client"].at(want["endpoint"]))
    return missing


def swarm_missing(want: Want) -> list[str]:
    """Takes `docker_host` and `networks` (see `_network_fits`); asks that Docker for its Swarm and its networks."""
    scheme, _colon, path = str(want["docker_host"]).partition("://")
    if scheme != "unix":
        return [f"a look at the Docker of {want['docker_host']}"]
    docker = DockerApi(path, _SECONDS)
    _status, info = docker.get("/info")
    if not (info.get("Swarm") or {}).get("ControlAvailable"):
        return ["a Swarm that this Docker manages"]
    return [f"network {network['name']}" for network in want["networks"] if not _network_fits(docker, network)]


def _network_fits(docker: DockerApi, wanted: Mapping[str, Any]) -> bool:
    """Tell whether Docker has a network with the name, driver and so on that are `wanted`; an empty subnet is any."""
    status, found = docker.get(f"/networks/{quote(wanted['name'])}")
    if status != 200:
        return False
    subnets = [config.get("Subnet") for config in (found.get("IPAM") or {}).get("Config") or []]
    fits = all(found[key.capitalize()] == wanted[key] for key in ("driver", "attachable", "internal") if key in wanted)
    return fits and (not wanted.get("subnet") or wanted["subnet"] in subnets)


def runtimes_missing(want: Want, client: Qinling | None = None) -> list[str]:
    """Takes `runtimes` (`name`, `image`, maybe `trusted`), and who is logged in, else `endpoint`, `auth`, `ca_cert`."""
    api = client or Qinling({**want, "ca_cert": want.get("ca_cert"), "wait": 0})
    there = {runtime["name"]: runtime for runtime in api.list("runtime")}
    return [
        f"runtime {wanted['name']}"
        for wanted in want["runtimes"]
        if not _is_as_wanted(there.get(wanted["name"]) or {}, wanted)
    ]


def _is_as_wanted(runtime: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    trusted = wanted.get("trusted")
    return (
        runtime.get("status") == "available"
        and runtime.get("image") == wanted["image"]
        and (trusted is None or bool(runtime.get("trusted")) == bool(trusted))
    )


def file_missing(want: Want) -> list[str]:
    """Takes `path`, `content`, `container`, `inside`; looks whether the host, and the container, have a file so."""
    path, content = Path(want["path"]), str(want["content"]).encode()
    if not path.is_file() or path.read_bytes() != content:
        return [str(path)]
    there = DockerApi(SOCKET, _SECONDS).file(want["container"], want["inside"])
    return [] if there == content else [f"{want['inside']} in {want['container']}"]


def told_missing(want: Want) -> list[str]:
    """Takes `missing`: what could be told on the controller already."""
    return [str(word) for word in want["missing"]]


KINDS: dict[str, Callable[[Want], list[str]]] = {
    "grants": grants_missing,
    "registration": registration_missing,
    "swarm": swarm_missing,
    "runtimes": runtimes_missing,
    "file": file_missing,
    "told": told_missing,
}


def missing(want: Want) -> list[str]:
    """Takes a want, returns what of it is not so, or what kind of error kept one from telling."""
    try:
        return KINDS[want["kind"]](want)
    except Exception as error:  # the work that brings it about finds out, and says it in full
        return [f"{want['kind']}: {type(error).__name__}"]


class Looks:
    """All wants, looked at at once, in the background until somebody wants the answer."""

    def __init__(self, wants: Mapping[str, list[Want]]) -> None:
        """Takes wants by project."""
        self._pool = ThreadPoolExecutor(max_workers=max(1, sum(map(len, wants.values()))))
        self._answers = {
            project: [(str(want["kind"]), self._pool.submit(missing, want)) for want in of_project]
            for project, of_project in wants.items()
        }

    def missing(self) -> dict[str, dict[str, list[str]]]:
        """Returns what is missing by project and kind, kinds of which nothing is missing left out."""
        self._pool.shutdown()
        found: dict[str, dict[str, list[str]]] = {project: {} for project in self._answers}
        for project, answers in self._answers.items():
            for kind, answer in answers:
                if words := answer.result():
                    found[project].setdefault(kind, []).extend(words)
        return found

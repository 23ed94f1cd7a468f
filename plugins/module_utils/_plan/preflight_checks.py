# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a host before the first change: ports, containers, versions, directories, files, subnets, registries."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import re
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._docker.ownership import MANAGED

_LISTEN = "0A"
Subnet = ipaddress.IPv4Network
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int


@dataclass(frozen=True)
class Owner:
    """The owner of a port: a process, and its container, if any."""

    pid: int = 0
    process: str = ""
    container: str = ""
    managed: bool = False

    def __str__(self) -> str:
        process = f"process {self.process} (pid {self.pid})" if self.pid else "a process that only root can see"
        if self.container:
            return f"container {self.container}" + (f", {process}" if self.pid else "")
        return process


def parse_listeners(text: str) -> list[Listener]:
    """Return the listening sockets in the text of /proc/net/tcp or tcp6."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        address, _colon, port = fields[1].partition(":")
        # The kernel prints each 32-bit word in the host's byte order.
        words = [struct.pack("=I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
        parsed = ipaddress.ip_address(b"".join(words))
        # An IPv6 socket may be bound to an IPv4 address.
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        found.append(Listener(str(parsed), int(port, 16), int(fields[9])))
    return found


def overlaps(listening: str, requested: str) -> bool:
    """Return whether the address of a listener conflicts with an address to listen on."""
    one, other = ipaddress.ip_address(listening), ipaddress.ip_address(requested)
    # "::" usually includes IPv4.
    return one == other or one.is_unspecified or (other.is_unspecified and one.version == other.version)


def bind_problem(address: str, port: int) -> str:
    """Return "in use" or "no address" if listening on an address and port fails; empty otherwise."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "in use"
            if error.errno == errno.EADDRNOTAVAIL:
                return "no address"
    return ""


def port_owners(
    address: str, port: int, listeners: Iterable[Listener], containers: Iterable[Mapping[str, Any]]
) -> list[Owner]:
    """Return the owners of a port on an address, from all listeners and containers of the host."""
    containers = list(containers)
    for container in containers:
        for ip, public, protocol in container["ports"]:
            if protocol == "tcp" and public == port and overlaps(ip or "0.0.0.0", address):  # noqa: S104
                return [Owner(container=container["name"], managed=MANAGED in container["labels"])]
    inodes = {item.inode for item in listeners if item.port == port and overlaps(item.address, address)}
    pids = _pids_of(inodes)
    by_pid = {container["pid"]: container for container in containers if container["pid"]}
    owners = []
    for pid in sorted(pids):
        container = next((by_pid[parent] for parent in _ancestors(pid) if parent in by_pid), {})
        container_id = "" if container else _container_id(pid)
        owners.append(
            Owner(
                pid,
                _process_name(pid),
                container["name"] if container else container_id[:12],
                MANAGED in container.get("labels", {}),
            )
        )
    return owners or [Owner()]


def _pids_of(inodes: set[int]) -> set[int]:
    """Return the processes that own sockets with these inodes, without the child processes of an owner."""
    links = {f"socket:[{inode}]" for inode in inodes}
    owners = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if any(os.readlink(entry) in links for entry in os.scandir(folder / "fd")):  # noqa: PTH115
                owners.add(int(folder.name))
        except OSError:  # The process has ended, or belongs to another user.
            continue
    return {pid for pid in owners if not owners.intersection(_ancestors(pid)[1:])}


def _ancestors(pid: int) -> list[int]:
    """Return a process and its ancestors."""
    found: list[int] = []
    while pid > 0 and pid not in found:
        found.append(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        pid = int(stat.rpartition(")")[2].split()[1])
    return found


def _process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def _container_id(pid: int) -> str:
    try:
        match = _CONTAINER_ID.search(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return ""
    return match.group(0) if match else ""


def port_findings(
    requested: Iterable[Mapping[str, Any]], containers: list[dict[str, Any]], listeners: list[Listener]
) -> list[str]:
    """Return findings about requested ports (``{port, address, service, containers}``) that are not available."""
    requested = list(requested)
    findings = shared_port_findings(requested)
    for item in requested:
        port, address = int(item["port"]), item["address"]
        subject = f"port {port} on {address}" + (f" for {item['service']}" if item.get("service") else "")
        problem = bind_problem(address, port)
        if problem == "no address":
            findings.append(f"{subject}: the host does not have this address; set another interface or address")
        elif problem == "in use":
            expected = set(item.get("containers") or [])
            owners = port_owners(address, port, listeners, containers)
            foreign = [owner for owner in owners if owner.container not in expected or not owner.managed]
            if foreign:
                users = ", ".join(str(owner) for owner in foreign)
                findings.append(f"{subject} is in use by {users}; stop it or set another port or address")
    return findings


def shared_port_findings(requested: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return findings about ports (``{port, address, service}``) that more than one service requests."""
    return [
        f"port {one['port']} on {one['address']} is used by {one.get('service')} and by {other.get('service')}; "
        "set another port for one of them"
        for one, other in itertools.combinations(requested, 2)
        if int(one["port"]) == int(other["port"])
        and (overlaps(one["address"], other["address"]) or overlaps(other["address"], one["address"]))
    ]


def container_findings(names: Iterable[str], containers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return findings about desired containers whose names are used by foreign containers."""
    present = {container["name"]: container for container in containers}
    return [
        f"container {name}: a container of this name exists ({present[name]['state']}, image "
        f"{present[name]['image']}) and was not created by this collection; rename or remove it, or disable the service"
        for name in names
        if name in present and MANAGED not in present[name]["labels"]
    ]


def version_tuple(text: str) -> tuple[int, ...]:
    """Return the numbers of a version such as 20.10.24+dfsg1."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[-+~]", text)[0]))


def version_finding(version: str, minimum: str) -> str:
    """Return a finding if the engine's version is less than the minimum; empty otherwise."""
    if version_tuple(version) < version_tuple(minimum):
        return f"Docker engine {version} is too old; expected at least {minimum}"
    return ""


def nearest_existing(path: Path) -> Path:
    """Return a path, or its nearest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def writable_findings(paths: Iterable[str]) -> list[str]:
    """Return findings about directories that are not writable or, if they do not exist, cannot be created."""
    findings = []
    for text in paths:
        existing = nearest_existing(Path(text))
        if not existing.is_dir():
            findings.append(f"{text}: {existing} is not a directory; remove it or set another path")
        elif not os.access(existing, os.W_OK | os.X_OK):
            findings.append(f"{text}: {existing} is not writable (permissions, or mounted read-only)")
    return findings


def file_findings(files: Iterable[Mapping[str, str]]) -> list[str]:
    """Return findings about variables (``{name, path}``) whose files do not exist on this host."""
    return [
        f"{item['name']}: {item['path']} is not a file on the host {socket.gethostname()}, where the playbooks read "
        "it; expected a file; copy it to this path or set another path"
        for item in files
        if not Path(item["path"]).is_file()
    ]


def parse_connected(text: str) -> dict[str, list[Subnet]]:
    """Return the IPv4 networks of the host by interface, from the text of /proc/net/route."""
    found: dict[str, list[Subnet]] = {}
    for line in text.splitlines()[1:]:
        interface, destination, gateway, *columns = line.split()
        # In the host's byte order. Routes through a gateway are less specific and do not conflict.
        address, mask = (ipaddress.IPv4Address(struct.pack("=I", int(word, 16))) for word in (destination, columns[4]))
        if int(gateway, 16) == 0 and int(mask):
            found.setdefault(interface, []).append(Subnet(f"{address}/{mask}"))
    return found


def subnet_findings(
    desired: Iterable[Mapping[str, str]], networks: Iterable[Mapping[str, Any]], connected: Mapping[str, list[Subnet]]
) -> list[str]:
    """Return findings about subnets of desired networks (``{name, network, subnet}``) that are already in use.

    `networks` are Docker's networks as it lists them, `connected` the networks of the host by interface.
    """
    by_network = {str(network["Name"]): subnets_of(network) for network in networks}
    docker_subnets = [subnet for subnets in by_network.values() for subnet in subnets]
    findings = []
    for item in desired:
        own = _subnet(item["subnet"])
        if own is None:
            continue
        # Interfaces of Docker's networks are not reported again.
        used = {f"Docker's network {name}": subnets for name, subnets in by_network.items() if name != item["network"]}
        used |= {
            f"the interface {name}": [subnet for subnet in subnets if subnet not in docker_subnets]
            for name, subnets in connected.items()
        }
        findings += [
            f"{item['name']}: {item['subnet']} overlaps {subnet} of {user}; set an unused subnet"
            for user, subnets in used.items()
            for subnet in subnets
            if subnet.overlaps(own)
        ]
    return findings


def subnets_of(network: Mapping[str, Any]) -> list[Subnet]:
    """Return the IPv4 subnets of a network as Docker lists it."""
    found = (_subnet(config.get("Subnet", "")) for config in (network.get("IPAM") or {}).get("Config") or [])
    return [subnet for subnet in found if subnet]


def _subnet(text: str) -> Subnet | None:
    """Return an IPv4 subnet; None if the text is invalid, which the validation of input reports."""
    try:
        return Subnet(text, strict=False)
    except ValueError:
        return None


def registry_of(image: str) -> str:
    """Return the registry in an image's name, by the rules of Docker."""
    first, slash, _rest = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def registry_problem(status: int, message: str) -> str:
    """Return the meaning of a registry's response: "unreachable", "denied" or "absent"; empty if the image exists."""
    if status == 200:
        return ""
    lowered = message.lower()
    if status in (401, 403) or "denied" in lowered or "unauthorized" in lowered or "no basic auth" in lowered:
        return "denied"
    if status == 404 or "manifest unknown" in lowered or "not found" in lowered:
        return "absent"
    return "unreachable"

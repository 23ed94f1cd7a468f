# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What can be told on a host, before anything is changed there."""

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
    """A TCP socket that listens."""

    address: str
    port: int
    inode: int


@dataclass(frozen=True)
class Owner:
    """Who holds a port: a process, and the container that it is in, if any."""

    pid: int = 0
    process: str = ""
    container: str = ""
    managed: bool = False

    def __str__(self) -> str:
        process = f"process {self.process} (pid {self.pid})" if self.pid else "a process that only root may see"
        if self.container:
            return f"container {self.container}" + (f", {process}" if self.pid else "")
        return process


def parse_listeners(text: str) -> list[Listener]:
    """Takes the text of /proc/net/tcp or tcp6, returns the sockets that listen."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        address, _colon, port = fields[1].partition(":")
        # The kernel prints each 32-bit word in the host's byte order.
        words = [struct.pack("=I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
        parsed = ipaddress.ip_address(b"".join(words))
        # IPv4 on an IPv6 socket is IPv4.
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        found.append(Listener(str(parsed), int(port, 16), int(fields[9])))
    return found


def overlaps(listening: str, wanted: str) -> bool:
    """Takes the address of a listener and one to listen on, returns whether one is in the way of the other."""
    one, other = ipaddress.ip_address(listening), ipaddress.ip_address(wanted)
    # "::" usually takes IPv4 as well.
    return one == other or one.is_unspecified or (other.is_unspecified and one.version == other.version)


def bind_problem(address: str, port: int) -> str:
    """Takes an address and port, returns "taken", "no address" or nothing, as trying to listen there tells."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "taken"
            if error.errno == errno.EADDRNOTAVAIL:
                return "no address"
    return ""


def port_owners(
    address: str, port: int, listeners: Iterable[Listener], containers: Iterable[Mapping[str, Any]]
) -> list[Owner]:
    """Takes an address and port with all listeners and containers, returns who holds it."""
    known = list(containers)
    for container in known:
        for ip, public, protocol in container["ports"]:
            if protocol == "tcp" and public == port and overlaps(ip or "0.0.0.0", address):  # noqa: S104
                return [Owner(container=container["name"], managed=MANAGED in container["labels"])]
    inodes = {item.inode for item in listeners if item.port == port and overlaps(item.address, address)}
    pids = _pids_of(inodes)
    by_pid = {container["pid"]: container for container in known if container["pid"]}
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
    """Takes inodes of sockets, returns the processes that hold them, one (the oldest) for each family of workers."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    holders = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if any(os.readlink(link) in wanted for link in os.scandir(folder / "fd")):  # noqa: PTH115
                holders.add(int(folder.name))
        except OSError:  # It ended meanwhile, or belongs to another user.
            continue
    return {pid for pid in holders if not holders.intersection(_ancestors(pid)[1:])}


def _ancestors(pid: int) -> list[int]:
    """Takes a process, returns it and its parents up to the first."""
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
    wanted: Iterable[Mapping[str, Any]], containers: list[dict[str, Any]], listeners: list[Listener]
) -> list[str]:
    """Takes ``{port, address, service, containers}``, returns which ports can not be listened on, and why."""
    wanted = list(wanted)
    findings = shared_port_findings(wanted)
    for item in wanted:
        port, address = int(item["port"]), item["address"]
        what = f"port {port} on {address}" + (f" for {item['service']}" if item.get("service") else "")
        problem = bind_problem(address, port)
        if problem == "no address":
            findings.append(f"{what}: the host has no such address; set the interface or address to one it has")
        elif problem == "taken":
            expected = set(item.get("containers") or [])
            owners = port_owners(address, port, listeners, containers)
            foreign = [owner for owner in owners if owner.container not in expected or not owner.managed]
            if foreign:
                holders = ", ".join(str(owner) for owner in foreign)
                findings.append(f"{what} is held by {holders}; stop it or set another port or address")
    return findings


def shared_port_findings(wanted: Iterable[Mapping[str, Any]]) -> list[str]:
    """Takes ``{port, address, service}``, returns which ports more than one service wants to listen on."""
    return [
        f"port {one['port']} on {one['address']} is wanted by {one.get('service')} and by {other.get('service')}; "
        "set one of them to another port"
        for one, other in itertools.combinations(wanted, 2)
        if int(one["port"]) == int(other["port"])
        and (overlaps(one["address"], other["address"]) or overlaps(other["address"], one["address"]))
    ]


def container_findings(names: Iterable[str], containers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Takes names of containers to be created and what is there, returns which names others have taken."""
    present = {container["name"]: container for container in containers}
    return [
        f"container {name}: one of this name is there already ({present[name]['state']}, image "
        f"{present[name]['image']}) and was not made here; rename or remove it, or disable the service here"
        for name in names
        if name in present and MANAGED not in present[name]["labels"]
    ]


def version_tuple(text: str) -> tuple[int, ...]:
    """Takes a version such as 20.10.24+dfsg1, returns its numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[-+~]", text)[0]))


def version_finding(version: str, minimum: str) -> str:
    """Takes the engine's version and the least that will do, returns what is wrong, or nothing."""
    if version_tuple(version) < version_tuple(minimum):
        return f"Docker engine {version} is too old; at least {minimum} is needed"
    return ""


def nearest(path: Path) -> Path:
    """Takes a path, returns it or the nearest directory above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def writable_findings(paths: Iterable[str]) -> list[str]:
    """Takes directories, there or to be created, returns which can not be written to."""
    findings = []
    for text in paths:
        place = nearest(Path(text))
        if not place.is_dir():
            findings.append(f"{text}: {place} is not a directory; remove it or set another path")
        elif not os.access(place, os.W_OK | os.X_OK):
            findings.append(f"{text}: {place} can not be written to (permissions, or mounted read-only)")
    return findings


def file_findings(wanted: Iterable[Mapping[str, str]]) -> list[str]:
    """Return which variables name no file on this host, from ``{name, path}`` of the files that are read here."""
    return [
        f"{item['name']}: {item['path']} is not a file on the host {socket.gethostname()}, where the playbooks read "
        "it; expected a file; put it there or set another path"
        for item in wanted
        if not Path(item["path"]).is_file()
    ]


def parse_connected(text: str) -> dict[str, list[Subnet]]:
    """Return the IPv4 networks that the host itself is in, by interface, from the text of /proc/net/route."""
    found: dict[str, list[Subnet]] = {}
    for line in text.splitlines()[1:]:
        interface, destination, gateway, *others = line.split()
        # In the host's byte order; a route through a gateway gives way to a closer one.
        address, mask = (ipaddress.IPv4Address(struct.pack("=I", int(word, 16))) for word in (destination, others[4]))
        if int(gateway, 16) == 0 and int(mask):
            found.setdefault(interface, []).append(Subnet(f"{address}/{mask}"))
    return found


def subnet_findings(
    wanted: Iterable[Mapping[str, str]], networks: Iterable[Mapping[str, Any]], connected: Mapping[str, list[Subnet]]
) -> list[str]:
    """Return which subnets something else has, from ``{name, network, subnet}`` of networks to be created.

    `networks` are all as Docker lists them, `connected` the networks that the host is in, by interface.
    """
    taken = {str(network["Name"]): subnets_of(network) for network in networks}
    dockers = [subnet for subnets in taken.values() for subnet in subnets]
    findings = []
    for item in wanted:
        own = _subnet(item["subnet"])
        if own is None:
            continue
        # An interface is named only where its subnet is none of Docker's.
        others = {f"Docker's network {name}": subnets for name, subnets in taken.items() if name != item["network"]}
        others |= {
            f"the interface {name}": [subnet for subnet in subnets if subnet not in dockers]
            for name, subnets in connected.items()
        }
        findings += [
            f"{item['name']}: {item['subnet']} overlaps {subnet} of {other}; take one that nothing else uses"
            for other, subnets in others.items()
            for subnet in subnets
            if subnet.overlaps(own)
        ]
    return findings


def subnets_of(network: Mapping[str, Any]) -> list[Subnet]:
    """Return the IPv4 subnets of a network as Docker lists it."""
    found = (_subnet(config.get("Subnet", "")) for config in (network.get("IPAM") or {}).get("Config") or [])
    return [subnet for subnet in found if subnet]


def _subnet(text: str) -> Subnet | None:
    """Return an IPv4 subnet; None for anything else, which the rules of input report where it is a variable."""
    try:
        return Subnet(text, strict=False)
    except ValueError:
        return None


def registry_of(image: str) -> str:
    """Takes an image's name, returns the registry it comes from, as Docker tells it from a path."""
    first, slash, _rest = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def registry_problem(status: int, message: str) -> str:
    """Takes a registry's answer, returns what is wrong: nothing, "unreachable", "denied" or "absent"."""
    if status == 200:
        return ""
    lowered = message.lower()
    if status in (401, 403) or "denied" in lowered or "unauthorized" in lowered or "no basic auth" in lowered:
        return "denied"
    if status == 404 or "manifest unknown" in lowered or "not found" in lowered:
        return "absent"
    return "unreachable"

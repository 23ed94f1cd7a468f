# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What keeps the Dockers of several hosts from being one Swarm, or the relay from its work on one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def swarm_findings(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], host: str, makes: bool = True
) -> list[str]:
    """Takes a Swarm's hosts, all hosts' variables, one host, and whether Swarms are made; returns what is wrong there.

    The `plan` of a host has the state of its Swarm. Where the engine uses the Docker of another machine,
    `__qinling_docker` has it, as `community.docker.docker_host_info` returns it. A host without either is left out.
    What concerns several hosts is reported on the first of them.
    """
    states = {name: state for name in hosts if (state := _swarm(hostvars, name))}
    own = states.get(host)
    if not own:
        return []
    if own.get("LocalNodeState") != "active":
        if makes:
            return []
        return [
            f"Docker on {host} belongs to no Swarm, and qinling_swarm_init is off: let it join one as a manager, or "
            "set qinling_swarm_init: true"
        ]
    if not own.get("ControlAvailable"):
        return [
            f"Docker on {host} is a worker of its Swarm, and the engine needs a manager: run `docker node promote "
            f"{host}` on one that is"
        ]
    clusters = {name: (state.get("Cluster") or {}).get("ID") for name, state in states.items()}
    clusters = {name: cluster for name, cluster in clusters.items() if cluster}
    if len(set(clusters.values())) < 2 or host != next(iter(clusters)):
        return []
    told = ", ".join(f"{name} to {cluster}" for name, cluster in clusters.items())
    return [
        f"the hosts of qinling_swarm_hosts belong to different Swarms ({told}): an engine would not see the workers of "
        "another; let all but one leave theirs (docker swarm leave --force) and run this again, or join them by hand"
    ]


def relay_findings(switches: Mapping[str, bool], host: str, api_here: bool) -> list[str]:
    """Return what in a host's daemon.json (its `switches`, as the plan has them) keeps the relay there from its work.

    Without iptables Docker translates no addresses: its userland proxy publishes ports, and no container leaves the
    host. `api_here` tells whether Qinling's API is on the same host, where the relay reaches it without the network.
    """
    if switches.get("iptables", True):
        return []
    findings = []
    if not switches.get("userland-proxy", True):
        findings.append(
            f'/etc/docker/daemon.json on {host}: "userland-proxy" and "iptables" are false, so Docker publishes no '
            'port of the relay; expected one of them; remove "userland-proxy" there and restart Docker'
        )
    if not api_here:
        findings.append(
            f'/etc/docker/daemon.json on {host}: "iptables" is false, so functions on {host} cannot reach a Qinling '
            f"API on another host; expected an API on each host with an engine; add {host} to the group qinling-api"
        )
    return findings


def _swarm(hostvars: Mapping[str, Mapping[str, Any]], host: str) -> Mapping[str, Any]:
    variables = hostvars.get(host) or {}
    elsewhere = (variables.get("__qinling_docker") or {}).get("host_info") or {}
    planned = (variables.get("plan") or {}).get("docker") or {}
    return elsewhere.get("Swarm") or planned.get("swarm") or {}


class FilterModule:
    """Ansible's entry to the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"swarm_findings": swarm_findings, "relay_findings": relay_findings}

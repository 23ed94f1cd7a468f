# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that report why hosts do not form one Swarm, or why the gateway cannot work on a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def swarm_findings(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], host: str, initialize: bool = True
) -> list[str]:
    """Return the problems of the Swarm on `host`; `initialize` is whether the deployment initializes a Swarm.

    The `plan` of a host contains the state of its Swarm. Where the engine uses the Docker of another machine,
    `__qinling_docker` contains it, as returned by `community.docker.docker_host_info`. A host without either is
    skipped. A problem of several hosts is reported on the first one.
    """
    states = {name: state for name in hosts if (state := _swarm(hostvars, name))}
    own = states.get(host)
    if not own:
        return []
    if own.get("LocalNodeState") != "active":
        if initialize:
            return []
        return [
            f"Docker on {host} is not in a Swarm, and qinling_swarm_init is false: join it to a Swarm as a manager, or "
            "set qinling_swarm_init: true"
        ]
    if not own.get("ControlAvailable"):
        return [
            f"Docker on {host} is a worker of its Swarm, but the engine needs a manager: run `docker node promote "
            f"{host}` on a manager"
        ]
    clusters = {name: (state.get("Cluster") or {}).get("ID") for name, state in states.items()}
    clusters = {name: cluster for name, cluster in clusters.items() if cluster}
    if len(set(clusters.values())) < 2 or host != next(iter(clusters)):
        return []
    members = ", ".join(f"{name} to {cluster}" for name, cluster in clusters.items())
    return [
        f"the hosts of qinling_swarm_hosts belong to different Swarms ({members}): an engine would not see the workers "
        "of another Swarm; leave all Swarms but one (docker swarm leave --force) and run this again, or join the hosts "
        "manually"
    ]


def gateway_findings(switches: Mapping[str, bool], host: str, api_is_local: bool) -> list[str]:
    """Return the settings in a host's daemon.json (`switches`, from the plan) that keep the gateway from working.

    Without iptables, Docker does not translate addresses: its userland proxy publishes ports, and containers cannot
    reach other hosts. `api_is_local` is whether the host runs Qinling's API, which the gateway then reaches locally.
    """
    if switches.get("iptables", True):
        return []
    findings = []
    if not switches.get("userland-proxy", True):
        findings.append(
            f'/etc/docker/daemon.json on {host}: "userland-proxy" and "iptables" are false, so Docker does not '
            'publish the ports of the gateway; expected one of them; remove "userland-proxy" there and restart Docker'
        )
    if not api_is_local:
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
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"swarm_findings": swarm_findings, "gateway_findings": gateway_findings}

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Which deployment the containers, volumes and networks of a host belong to, as their labels say.

What has no label of a deployment was made by an earlier version, which wrote none. It counts as the one that asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# The label that names the deployment: its operator's directory, unless qinling_deployment says otherwise.
DEPLOYMENT = "qinling.kolla/deployment"
# The label of whatever this collection made, in every version.
MANAGED = "qinling.kolla/managed"
# The label of what an engine creates in a Swarm: the name of its functions' network.
INSTANCE = "qinling.kolla/instance"
_PLURALS = {"container": "containers", "volume": "volumes", "network": "networks", "directory": "directories"}

Container = Mapping[str, Any]
# By kind (container, volume, network): names, and the labels of what exists.
Claims = Mapping[str, Iterable[str]]
Labels = Mapping[str, Mapping[str, Mapping[str, str]]]


def name_of(container: Container) -> str:
    """Return the name of a container of Docker's list, or its ID where it has lost its name (it is being removed)."""
    return str((container.get("Names") or [container["Id"]])[0]).lstrip("/")


def is_managed(container: Container) -> bool:
    """Return whether this collection created a container, for whichever deployment."""
    return MANAGED in (container.get("Labels") or {})


def foreign_objects(deployment: str, claims: Claims, labels: Labels) -> dict[str, dict[str, list[str]]]:
    """Return the claimed objects that are labelled with another deployment, by deployment and kind."""
    found: dict[str, dict[str, list[str]]] = {}
    for kind, names in claims.items():
        for name in dict.fromkeys(names):
            owner = labels[kind].get(name, {}).get(DEPLOYMENT, deployment)
            if owner != deployment:
                found.setdefault(owner, {}).setdefault(kind, []).append(name)
    return found


def foreign_directories(
    deployment: str, directories: Iterable[Path], containers: Iterable[Container]
) -> dict[str, list[str]]:
    """Return which of the `directories` containers of another deployment mount, by deployment."""
    claimed = {str(path) for path in directories}
    found: dict[str, set[str]] = {}
    for container in containers:
        owner = (container.get("Labels") or {}).get(DEPLOYMENT, deployment)
        if owner != deployment:
            sources = {str(mount.get("Source", "")).rstrip("/") for mount in container.get("Mounts") or []}
            found.setdefault(owner, set()).update(sources & claimed)
    return {owner: sorted(paths) for owner, paths in found.items() if paths}


def owner_findings(
    deployment: str, claims: Claims, labels: Labels, directories: Iterable[Path], containers: Iterable[Container]
) -> list[str]:
    """Return one message for each other deployment that owns what this one claims."""
    owners = foreign_objects(deployment, claims, labels)
    for owner, paths in foreign_directories(deployment, directories, containers).items():
        owners.setdefault(owner, {})["directory"] = paths
    return [_owner_finding(deployment, owner, objects) for owner, objects in sorted(owners.items())]


def _owner_finding(deployment: str, owner: str, objects: Mapping[str, list[str]]) -> str:
    parts = [f"{kind if len(names) == 1 else _PLURALS[kind]} {', '.join(names)}" for kind, names in objects.items()]
    verb = "belongs" if sum(map(len, objects.values())) == 1 else "belong"
    variables = dict.fromkeys("node_config" if kind == "directory" else "qinling_container_prefix" for kind in objects)
    return (
        f"{'; '.join(parts)} {verb} to the deployment of {owner}, and this is the deployment of {deployment}; "
        f"set {' and '.join(variables)} (README.md, A second deployment on the same host) or, if this is the same "
        f"deployment whose directory was moved, set qinling_deployment: {owner}"
    )


def network_findings(names: Iterable[str], labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return one message for each network to be created whose name another one has, of the `labels` by name."""
    return [
        f"network {name}: one of this name is there already and was not made here; set another name "
        "(qinling_swarm_network, qinling_relay_network), or remove it"
        for name in names
        if name in labels and MANAGED not in labels[name]
    ]


def volume_users(containers: Iterable[Container]) -> dict[str, list[Container]]:
    """Return the containers that mount a named volume, running or not, by volume."""
    users: dict[str, list[Container]] = {}
    for container in containers:
        for mount in container.get("Mounts") or []:
            if mount.get("Type") == "volume":
                users.setdefault(str(mount["Name"]), []).append(container)
    return users


def is_removed(container: Container, deployment: str, names: Iterable[str], instances: Iterable[str]) -> bool:
    """Tell whether destroy removes a container: one of `names`, or a function worker of `instances`.

    A container of this deployment that is being removed already counts too, although it has lost its name.
    """
    labels = container.get("Labels") or {}
    return (
        name_of(container) in set(names)
        or labels.get(INSTANCE) in set(instances)
        or (not container.get("Names") and labels.get(DEPLOYMENT) == deployment)
    )

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Determine from labels to which deployment the containers, volumes and networks of a host belong.

Objects without the label were created by an earlier version; they count as objects of the current deployment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# The label that names the deployment: qinling_deployment, by default the path of the operator's directory.
DEPLOYMENT = "qinling.kolla/deployment"
# The label of all objects that any version of this collection creates.
MANAGED = "qinling.kolla/managed"
# The label of objects that an engine creates in a Swarm: the name of the network of functions.
INSTANCE = "qinling.kolla/instance"
_PLURALS = {"container": "containers", "volume": "volumes", "network": "networks", "directory": "directories"}

Container = Mapping[str, Any]
# By kind (container, volume, network): names, and the labels of what exists.
Claims = Mapping[str, Iterable[str]]
Labels = Mapping[str, Mapping[str, Mapping[str, str]]]


def name_of(container: Container) -> str:
    """Return the name of a container of Docker's list; its ID if it has no name because it is being removed."""
    return str((container.get("Names") or [container["Id"]])[0]).lstrip("/")


def is_managed(container: Container) -> bool:
    """Return whether this collection created a container, for any deployment."""
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
    """Return the `directories` that containers of other deployments mount, by deployment."""
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
    """Return one message for each other deployment that owns objects which `deployment` claims."""
    owners = foreign_objects(deployment, claims, labels)
    for owner, paths in foreign_directories(deployment, directories, containers).items():
        owners.setdefault(owner, {})["directory"] = paths
    return [_owner_finding(deployment, owner, objects) for owner, objects in sorted(owners.items())]


def _owner_finding(deployment: str, owner: str, objects: Mapping[str, list[str]]) -> str:
    parts = [f"{kind if len(names) == 1 else _PLURALS[kind]} {', '.join(names)}" for kind, names in objects.items()]
    verb = "belongs" if sum(map(len, objects.values())) == 1 else "belong"
    variables = dict.fromkeys("node_config" if kind == "directory" else "qinling_container_prefix" for kind in objects)
    return (
        f"{'; '.join(parts)} {verb} to the deployment {owner}; expected the deployment {deployment}; "
        f"set {' and '.join(variables)} (docs/second-deployment.md) or, if the directory of "
        f"this deployment was moved, set qinling_deployment: {owner}"
    )


def network_findings(names: Iterable[str], labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return one message for each desired network whose name a foreign network has; `labels` are by network."""
    return [
        f"network {name}: a network of this name exists and was not created by this collection; set another name "
        "(qinling_swarm_network, qinling_gateway_network), or remove the network"
        for name in names
        if name in labels and MANAGED not in labels[name]
    ]


def volume_users(containers: Iterable[Container]) -> dict[str, list[Container]]:
    """Return the running and stopped containers that mount named volumes, by volume."""
    users: dict[str, list[Container]] = {}
    for container in containers:
        for mount in container.get("Mounts") or []:
            if mount.get("Type") == "volume":
                users.setdefault(str(mount["Name"]), []).append(container)
    return users


def is_removed(container: Container, deployment: str, names: Iterable[str], instances: Iterable[str]) -> bool:
    """Return whether destroy removes a container: it has one of `names`, or is a function worker of `instances`.

    A container of this deployment without a name is already being removed and counts as well.
    """
    labels = container.get("Labels") or {}
    return (
        name_of(container) in set(names)
        or labels.get(INSTANCE) in set(instances)
        or (not container.get("Names") and labels.get(DEPLOYMENT) == deployment)
    )

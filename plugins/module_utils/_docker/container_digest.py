# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Compute digests of the definitions of containers, and find the containers whose labels match them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

# Labels of a container: digests of its definition, its configuration files and the inputs of the service's last
# bootstrap.
LABEL = "qinling.kolla/definition"
CONFIGURATION = "qinling.kolla/configuration"
BOOTSTRAP = "qinling.kolla/bootstrap"
# Placeholder in a container's groups for the group of Docker's socket, whose number depends on the host.
SOCKET_GROUP = "@docker_socket_group"
# The keys of a service's entry (`<project>_services`) that define its container.
CONTAINER_KEYS = (
    "image",
    "network_mode",
    "networks",
    "published_ports",
    "pid_mode",
    "groups",
    "cap_drop",
    "environment",
    "volumes",
    "healthcheck",
    "dimensions",
)


def canonical(value: Any) -> Any:
    """Return a value in which all scalars are text, so that digests do not depend on the version of ansible-core.

    The result of `{{ 30 }}` is a number since ansible-core 2.19, and text before.
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return str(value)


def is_disabled(test: Any) -> bool:
    """Return whether a health check is disabled: its test is NONE, as a string or a list (Kolla accepts both)."""
    return test == "NONE" or (isinstance(test, list | tuple) and list(test) == ["NONE"])


def has_healthcheck(service: Mapping[str, Any]) -> bool:
    """Return whether a service's container has a health check."""
    healthcheck = service.get("healthcheck") or {}
    return bool(healthcheck) and not is_disabled(healthcheck.get("test"))


def definition_of(service: Mapping[str, Any], configuration: str, settings: Mapping[str, Any]) -> str:
    """Return the digest of the definition of a service's container.

    `configuration` is the digest of its files, `settings` are the settings that all containers share.
    """
    container = {key: service[key] for key in CONTAINER_KEYS if key in service}
    definition = json.dumps(canonical([container, configuration, settings]), sort_keys=True)
    return hashlib.sha256(definition.encode()).hexdigest()[:16]


def bootstrap_of(inputs: Any) -> str:
    """Return the digest of the inputs of a bootstrap, without the image."""
    return hashlib.sha256(json.dumps(canonical(inputs), sort_keys=True).encode()).hexdigest()[:16]


def with_group(service: Mapping[str, Any], group: int) -> dict[str, Any]:
    """Return a service's entry in which SOCKET_GROUP is replaced by the number of the group of Docker's socket."""
    groups = service.get("groups") or []
    if SOCKET_GROUP not in groups:
        return dict(service)
    return {**service, "groups": [str(group) if name == SOCKET_GROUP else name for name in groups]}


def unchanged_of(
    local: Mapping[str, Mapping[str, Any]], found: Iterable[Mapping[str, Any]], desired: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """Return the containers, running or not, of `local` services whose definition is unchanged, by service.

    `found` is the list of GET /containers/json. It shows an image by the name with which the container was created,
    unless that name now refers to another image. `desired` are the desired digests by service.
    """
    return _labelled(local, found, LABEL, desired)


def bootstrapped_of(
    local: Mapping[str, Mapping[str, Any]], found: Iterable[Mapping[str, Any]], desired: Mapping[str, str]
) -> list[str]:
    """Return the services whose container was created after a bootstrap with the same image and inputs.

    `desired` are the digests of inputs (`bootstrap_of`) by service.
    """
    services = {name: local[name] for name in desired if name in local}
    return list(_labelled(services, found, BOOTSTRAP, desired))


def _labelled(
    services: Mapping[str, Mapping[str, Any]],
    found: Iterable[Mapping[str, Any]],
    label: str,
    desired: Mapping[str, str],
) -> dict[str, Mapping[str, Any]]:
    """Return the containers with the service's name and image and the desired value of a label, by service."""
    by_name = {name.lstrip("/"): container for container in found for name in container["Names"]}
    pairs = {name: by_name.get(service["container_name"]) for name, service in services.items()}
    return {
        name: container
        for name, container in pairs.items()
        if container
        and container["Image"] == services[name]["image"]
        and (container["Labels"] or {}).get(label) == desired[name]
    }


def up_to_date_of(
    local: Mapping[str, Mapping[str, Any]], unchanged: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> list[str]:
    """Return the `local` services whose `unchanged` container runs, and is healthy if it has a health check."""
    return [
        name
        for name, container in unchanged.items()
        if container["State"] == "running"
        and ("(healthy)" in container["Status"] or not (settings["healthchecks"] and has_healthcheck(local[name])))
    ]

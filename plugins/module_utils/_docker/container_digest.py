# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""The digest of all that a container is made from, and which containers of a list are up to date by their label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

# The label of a container that holds the digest of what it was made from.
LABEL = "qinling.kolla/definition"
CONFIGURATION = "qinling.kolla/configuration"
# Digest of what the last bootstrap of the service was for, in its container, which is created after that.
BOOTSTRAP = "qinling.kolla/bootstrap"
# Stands in a container's groups for the group that may use Docker's socket, which only the host knows.
SOCKET_GROUP = "@docker_socket_group"
# What of a service's entry (`<project>_services`) a container is made from; the rest concerns others.
MADE_FROM = (
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
    """Return a value with every scalar in it as text, so that it is the same on every ansible-core.

    The result of `{{ 30 }}` is a number since ansible-core 2.19, and text before. Docker takes either for what a
    container is made from, but a digest and a comparison would see a difference.
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return str(value)


def is_disabled(test: Any) -> bool:
    """Return whether a health check's test switches the check off: NONE as a string or a list, as Kolla takes it."""
    return test == "NONE" or (isinstance(test, list | tuple) and list(test) == ["NONE"])


def has_healthcheck(service: Mapping[str, Any]) -> bool:
    """Return whether a service's container has a health check."""
    healthcheck = service.get("healthcheck") or {}
    return bool(healthcheck) and not is_disabled(healthcheck.get("test"))


def definition_of(service: Mapping[str, Any], configuration: str, settings: Mapping[str, Any]) -> str:
    """Return the digest of all that a service's container is made from.

    `configuration` is the digest of its files, `settings` is what containers of all services have in common.
    """
    made_from = {key: service[key] for key in MADE_FROM if key in service}
    whole = json.dumps(canonical([made_from, configuration, settings]), sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def bootstrap_of(inputs: Any) -> str:
    """Return the digest of what a bootstrap depends on besides the image."""
    return hashlib.sha256(json.dumps(canonical(inputs), sort_keys=True).encode()).hexdigest()[:16]


def with_group(service: Mapping[str, Any], group: int) -> dict[str, Any]:
    """Return a service's entry with the number of the group that may use Docker's socket."""
    groups = service.get("groups") or []
    if SOCKET_GROUP not in groups:
        return dict(service)
    return {**service, "groups": [str(group) if name == SOCKET_GROUP else name for name in groups]}


def unchanged_of(
    local: Mapping[str, Mapping[str, Any]], found: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """Return by service the containers of services `local` whose definition is unchanged, running or not.

    `found` is Docker's list of containers (GET /containers/json of its API). It shows an image by the name that the
    container was made from, unless that name means another image by now. `wanted` are the present definitions.
    """
    return _labelled(local, found, LABEL, wanted)


def bootstrapped_of(
    local: Mapping[str, Mapping[str, Any]], found: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]
) -> list[str]:
    """Return the services whose container was created after a bootstrap with the same image and inputs.

    `wanted` are the digests of inputs (`bootstrap_of`) by service.
    """
    services = {name: local[name] for name in wanted if name in local}
    return list(_labelled(services, found, BOOTSTRAP, wanted))


def _labelled(
    services: Mapping[str, Mapping[str, Any]], found: Iterable[Mapping[str, Any]], label: str, wanted: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """Return by service the containers of that name that have the service's image, and a label as `wanted`."""
    by_name = {name.lstrip("/"): container for container in found for name in container["Names"]}
    pairs = {name: by_name.get(service["container_name"]) for name, service in services.items()}
    return {
        name: container
        for name, container in pairs.items()
        if container
        and container["Image"] == services[name]["image"]
        and (container["Labels"] or {}).get(label) == wanted[name]
    }


def up_to_date_of(
    local: Mapping[str, Mapping[str, Any]], unchanged: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> list[str]:
    """Return which of the services `local` need nothing: their container is `unchanged`, runs, is healthy if asked."""
    return [
        name
        for name, container in unchanged.items()
        if container["State"] == "running"
        and ("(healthy)" in container["Status"] or not (settings["healthchecks"] and has_healthcheck(local[name])))
    ]

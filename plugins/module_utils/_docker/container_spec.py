# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Convert a service of Kolla's service dictionary to the requests of Docker's API that create its container.

Source of the format: https://docs.docker.com/reference/api/engine/version/v1.41/, ContainerCreate and NetworkConnect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import canonical, is_disabled

# Kolla's dimensions and the keys of HostConfig, by the type of their values: bytes, numbers, text.
_SIZES = {
    "mem_limit": "Memory",
    "mem_reservation": "MemoryReservation",
    "memswap_limit": "MemorySwap",
    "kernel_memory": "KernelMemory",
}
_NUMBERS = {
    "blkio_weight": "BlkioWeight",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
}
_TEXTS = {"cpuset_cpus": "CpusetCpus", "cpuset_mems": "CpusetMems"}
_NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3}
_PORT = re.compile(r"(?:(?P<address>\[[^]]+\]|[^:]+):)?(?P<host>\d+):(?P<container>\d+)(?:/(?P<protocol>\w+))?")


def bytes_of(size: Any) -> int:
    """Return a size such as 512m, Kolla's 512mb or a number of bytes in bytes; -1 for -1 or unlimited."""
    text = str(size).strip()
    if text in ("-1", "unlimited"):
        return -1
    # human_to_bytes accepts only an upper-case B for bytes.
    return int(human_to_bytes(re.sub(r"(?i)(?<=[kmgtpezy])b$", "", text)))


def nanoseconds_of(duration: Any) -> int:
    """Return a duration such as 1m30s, or a number of seconds, in nanoseconds."""
    text = str(duration)
    if text.isdecimal():
        return int(text) * 10**9
    return sum(int(number) * _NANOSECONDS[unit] for number, unit in re.findall(r"(\d+)(ms|us|h|m|s)", text))


def healthcheck_of(healthcheck: Mapping[str, Any]) -> dict[str, Any]:
    """Return Kolla's health check (durations in seconds, or with units) as Docker's Healthcheck."""
    test = healthcheck["test"]
    if is_disabled(test):
        return {"Test": ["NONE"]}
    times = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    return {
        "Test": ["CMD-SHELL", test] if isinstance(test, str) else [str(word) for word in test],
        **{key: nanoseconds_of(healthcheck[name]) for name, key in times.items() if name in healthcheck},
        **({"Retries": int(healthcheck["retries"])} if "retries" in healthcheck else {}),
    }


def ulimits_of(ulimits: Any) -> list[dict[str, Any]]:
    """Return ulimits (Kolla's mapping of name to soft and hard, or a list of name:soft:hard) as Docker's Ulimits."""
    if isinstance(ulimits, Mapping):
        parts = [
            (name, limit["soft"], limit["hard"]) if isinstance(limit, Mapping) else (name, limit, limit)
            for name, limit in ulimits.items()
        ]
    else:
        split = [str(ulimit).split(":") for ulimit in ulimits]
        parts = [(name, limits[0], limits[-1]) for name, *limits in split]
    return [{"Name": name, "Soft": int(soft), "Hard": int(hard)} for name, soft, hard in parts]


def ports_of(published: list[str]) -> dict[str, Any]:
    """Return published ports, each ``[address:]host_port:container_port[/protocol]``, as Docker's PortBindings."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in published:
        match = _PORT.fullmatch(str(port))
        if match is None:
            raise ValueError(f"published port {port}: expected [address:]host_port:container_port[/protocol]")
        address = (match["address"] or "").strip("[]")
        bindings.setdefault(f"{match['container']}/{match['protocol'] or 'tcp'}", []).append(
            {"HostIp": address, "HostPort": match["host"]}
        )
    return bindings


def host_config(service: Mapping[str, Any], settings: Mapping[str, Any], volumes: list[str]) -> dict[str, Any]:
    """Return Docker's HostConfig of a service's container."""
    dimensions = service.get("dimensions") or {}
    config = {
        "RestartPolicy": {"Name": settings["restart_policy"]},
        "NetworkMode": service.get("network_mode") or "host",
        "Binds": volumes,
        "PortBindings": ports_of(service.get("published_ports") or []),
        "PidMode": service.get("pid_mode") or "",
        "GroupAdd": [str(group) for group in service.get("groups") or []],
        "CapDrop": [str(capability) for capability in service.get("cap_drop") or []],
        "Ulimits": ulimits_of(dimensions.get("ulimits") or {}),
    }
    for keys, convert in ((_SIZES, bytes_of), (_NUMBERS, _integer), (_TEXTS, str)):
        config |= {key: convert(dimensions[name]) for name, key in keys.items() if dimensions.get(name) is not None}
    return config


def spec_of(
    name: str,
    service: Mapping[str, Any],
    settings: Mapping[str, Any],
    labels: Mapping[str, str],
    absent_mounts: list[str],
) -> dict[str, Any]:
    """Return a service's entry for the module `containers`: ``{service, container, body, networks}``.

    `settings` are shared by all containers, `labels` are those of this container, `absent_mounts` are volumes to omit
    because the host does not have the files.
    """
    volumes = [str(volume) for volume in service.get("volumes") or [] if volume and volume not in absent_mounts]
    ports = ports_of(service.get("published_ports") or [])
    environment = {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS", "KOLLA_SERVICE_NAME": name}
    environment |= canonical(service.get("environment") or {})
    # Docker connects a container to only one network when it creates it.
    first, *further = service.get("networks") or [None]
    return {
        "service": name,
        "container": str(service["container_name"]),
        "body": {
            "Image": str(service["image"]),
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Labels": canonical({**(settings.get("labels") or {}), **labels}),
            "StopTimeout": int(settings["stop_timeout"]),
            "ExposedPorts": {port: {} for port in ports},
            "HostConfig": host_config(service, settings, volumes),
            **(
                {"Healthcheck": healthcheck_of(service["healthcheck"])}
                if settings["healthchecks"] and service.get("healthcheck")
                else {}
            ),
            **({"NetworkingConfig": {"EndpointsConfig": {first["name"]: _endpoint(first)}}} if first else {}),
        },
        "networks": [{"name": network["name"], "endpoint": _endpoint(network)} for network in further],
    }


def _integer(value: Any) -> int:
    # A template may render 500 as 500.0.
    return int(float(value))


def _endpoint(network: Mapping[str, Any]) -> dict[str, Any]:
    return {"Aliases": list(network["aliases"])} if network.get("aliases") else {}

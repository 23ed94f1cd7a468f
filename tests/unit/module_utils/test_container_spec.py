# SPDX-License-Identifier: Apache-2.0
"""Conversion of Kolla's service dictionaries to requests of Docker's API."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_spec import (
    bytes_of,
    healthcheck_of,
    nanoseconds_of,
    ports_of,
    spec_of,
    ulimits_of,
)

SETTINGS: dict[str, Any] = {
    "healthchecks": True,
    "restart_policy": "unless-stopped",
    "stop_timeout": "60",
    "labels": {"rack": 7},
}
SERVICE: dict[str, Any] = {
    "container_name": "qinling_gateway",
    "image": "kolla/qinling-gateway:1",
    "volumes": ["/etc/localtime:/etc/localtime:ro", "", "qinling_run:/run/qinling/"],
}


def host_config(**service: Any) -> dict[str, Any]:
    config: dict[str, Any] = spec_of("gateway", {**SERVICE, **service}, SETTINGS, {}, [])["body"]["HostConfig"]
    return config


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("512mb", 512 << 20),
        ("1Gb", 1 << 30),
        ("10 KB", 10 << 10),
        ("2tB ", 2 << 40),
        ("100b", 100),
        ("1.5G", 3 << 29),
        ("1 gigabyte", 1 << 30),
        (134217728, 134217728),
        ("unlimited", -1),
        (-1, -1),
    ],
)
def test_sizes(size: Any, expected: int) -> None:
    assert bytes_of(size) == expected


@pytest.mark.parametrize(
    ("duration", "seconds"), [("30", 30), (5, 5), ("30s", 30), ("1m30s", 90), ("2h", 7200), ("1500ms", 1.5)]
)
def test_durations(duration: Any, seconds: float) -> None:
    assert nanoseconds_of(duration) == seconds * 10**9


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"interval": "30", "timeout": 5, "retries": "3", "start_period": "1m30s", "test": ["CMD", "probe"]},
            {
                "Test": ["CMD", "probe"],
                "Interval": 30 * 10**9,
                "Timeout": 5 * 10**9,
                "StartPeriod": 90 * 10**9,
                "Retries": 3,
            },
        ),
        ({"test": "probe || exit 1"}, {"Test": ["CMD-SHELL", "probe || exit 1"]}),
        ({"interval": "30s", "retries": 3, "test": "NONE"}, {"Test": ["NONE"]}),
        ({"interval": 30, "test": ["NONE"]}, {"Test": ["NONE"]}),
    ],
)
def test_health_checks(value: Any, expected: Any) -> None:
    assert healthcheck_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"nofile": {"soft": "1024", "hard": 2048}}, [("nofile", 1024, 2048)]),
        ({"nofile": 100}, [("nofile", 100, 100)]),
        (["nofile:1:2", "nproc:3"], [("nofile", 1, 2), ("nproc", 3, 3)]),
        ({}, []),
    ],
)
def test_ulimits(value: Any, expected: list[tuple[str, int, int]]) -> None:
    assert ulimits_of(value) == [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in expected]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("127.0.0.1:70:7070", ("7070/tcp", "127.0.0.1", "70")),
        ("[::1]:70:7070", ("7070/tcp", "::1", "70")),
        ("70:7070/udp", ("7070/udp", "", "70")),
    ],
)
def test_published_ports(port: str, expected: tuple[str, str, str]) -> None:
    container_port, address, host_port = expected
    assert ports_of([port]) == {container_port: [{"HostIp": address, "HostPort": host_port}]}


def test_invalid_published_port_is_reported() -> None:
    with pytest.raises(ValueError, match="published port 7070: expected"):
        ports_of(["7070"])


@pytest.mark.parametrize(
    ("dimension", "value", "key", "expected"),
    [
        ("mem_limit", "1g", "Memory", 1 << 30),
        ("mem_reservation", "512mb", "MemoryReservation", 512 << 20),
        ("memswap_limit", "unlimited", "MemorySwap", -1),
        ("kernel_memory", "1g", "KernelMemory", 1 << 30),
        ("blkio_weight", "500.0", "BlkioWeight", 500),
        ("cpu_period", 1000, "CpuPeriod", 1000),
        ("cpu_quota", "500", "CpuQuota", 500),
        ("cpu_shares", "512", "CpuShares", 512),
        ("cpuset_cpus", "0-2", "CpusetCpus", "0-2"),
        ("cpuset_mems", 0, "CpusetMems", "0"),
    ],
)
def test_dimensions(dimension: str, value: Any, key: str, expected: Any) -> None:
    assert host_config(dimensions={dimension: value})[key] == expected
    assert key not in host_config(dimensions={dimension: None})


def test_container_in_the_host_network() -> None:
    service = {**SERVICE, "environment": {"RETRIES": 3}, "healthcheck": {"test": "true"}, "groups": [103]}
    spec = spec_of("gateway", service, SETTINGS, {"qinling.kolla/service": "gateway"}, [SERVICE["volumes"][0]])
    body = spec["body"]
    assert (spec["service"], spec["container"], spec["networks"]) == ("gateway", "qinling_gateway", [])
    assert body["Env"] == ["KOLLA_CONFIG_STRATEGY=COPY_ALWAYS", "KOLLA_SERVICE_NAME=gateway", "RETRIES=3"]
    assert body["Labels"] == {"rack": "7", "qinling.kolla/service": "gateway"}
    assert body["StopTimeout"] == 60
    assert body["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    assert body["HostConfig"]["Binds"] == ["qinling_run:/run/qinling/"]
    assert body["HostConfig"]["NetworkMode"] == "host"
    assert body["HostConfig"]["GroupAdd"] == ["103"]
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "unless-stopped"}
    assert "Healthcheck" not in spec_of("gateway", service, {**SETTINGS, "healthchecks": False}, {}, [])["body"]


def test_container_in_two_networks() -> None:
    networks = [{"name": "bridge"}, {"name": "functions", "aliases": ["qinling-api"]}]
    spec = spec_of("gateway", {**SERVICE, "network_mode": "bridge", "networks": networks}, SETTINGS, {}, [])
    assert spec["body"]["HostConfig"]["NetworkMode"] == "bridge"
    assert spec["body"]["NetworkingConfig"] == {"EndpointsConfig": {"bridge": {}}}
    assert spec["networks"] == [{"name": "functions", "endpoint": {"Aliases": ["qinling-api"]}}]

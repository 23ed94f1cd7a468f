# SPDX-License-Identifier: Apache-2.0
"""Comparison of the Swarm and the networks of functions."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run

FUNCTIONS = {"name": "functions", "driver": "overlay", "attachable": True, "internal": True}
BRIDGE = {"name": "bridge", "driver": "bridge", "subnet": ""}
IN_SUBNET = {**BRIDGE, "subnet": "172.29.0.0/24"}
OVERLAY = {"Driver": "overlay", "Attachable": True, "Internal": True}
OWN = {
    "Driver": "bridge",
    "Attachable": False,
    "Internal": False,
    "IPAM": {"Config": [{"Subnet": "172.29.0.0/24", "Gateway": "172.29.0.1"}]},
}


@pytest.mark.parametrize(
    ("is_manager", "networks", "found", "expected"),
    [
        (True, [FUNCTIONS], {"functions": OVERLAY}, []),
        (True, [], {}, []),
        (True, [FUNCTIONS], {}, ["network functions"]),
        (True, [FUNCTIONS], {"functions": {**OVERLAY, "Internal": False}}, ["network functions"]),
        (True, [FUNCTIONS], {"functions": {**OVERLAY, "Attachable": False}}, ["network functions"]),
        (True, [FUNCTIONS], {"functions": OWN}, ["network functions"]),
        (False, [FUNCTIONS], {"functions": OVERLAY}, ["Swarm manager on this host"]),
        (True, [FUNCTIONS, BRIDGE], {"functions": OVERLAY}, ["network bridge"]),
        (True, [FUNCTIONS, BRIDGE], {"functions": OVERLAY, "bridge": OWN}, []),
        (True, [BRIDGE], {"bridge": OVERLAY}, ["network bridge"]),
        (True, [IN_SUBNET], {"bridge": OWN}, []),
        (True, [IN_SUBNET], {"bridge": {**OWN, "IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}}}, ["network bridge"]),
        (True, [IN_SUBNET], {"bridge": {**OWN, "IPAM": {"Config": None}}}, ["network bridge"]),
    ],
)
def test_differences(
    is_manager: bool, networks: Any, found: dict[str, Any], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_self: DockerApi, url: str) -> tuple[int, Any]:
        if url == "/info":
            return 200, {"Swarm": {"ControlAvailable": is_manager}}
        network = found.get(url.removeprefix("/networks/"))
        return (200, network) if network else (404, {"message": "no such network"})

    monkeypatch.setattr(DockerApi, "get", get)
    swarm = {"kind": "swarm", "docker_host": "unix:///run/docker.sock", "networks": networks}
    assert kinds.differences(swarm, Run()) == expected


def test_remote_or_unreachable_engine_is_a_difference() -> None:
    for docker_host, expected in (
        ("tcp://h:1", "state of the Swarm on tcp://h:1 unknown"),
        ("unix:///nowhere", f"swarm: {DockerUnreachableError.__name__}"),
    ):
        assert kinds.differences({"kind": "swarm", "docker_host": docker_host}, Run()) == [expected]

# SPDX-License-Identifier: Apache-2.0
"""Findings about the Swarm of several hosts, and about the gateway on one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.filter.swarm import FilterModule

FILTERS = FilterModule().filters()
NONE = {"LocalNodeState": "inactive", "ControlAvailable": False, "Cluster": None}
WORKER = {"LocalNodeState": "active", "ControlAvailable": False, "Cluster": None}


def manager(cluster: str) -> dict[str, Any]:
    return {"LocalNodeState": "active", "ControlAvailable": True, "Cluster": {"ID": cluster}}


def own(swarm: dict[str, Any] | None) -> dict[str, Any]:
    """Return the variables of a host with its own Docker."""
    return {"plan": {"docker": {"swarm": swarm}}} if swarm else {"plan": {"docker": {}}}


def elsewhere(swarm: dict[str, Any] | None) -> dict[str, Any]:
    """Return the variables of a host whose engine uses another machine's Docker."""
    return {**own(NONE), "__qinling_docker": {"host_info": {"Swarm": swarm}}} if swarm else {}


@pytest.mark.parametrize(
    ("states", "initialize", "expected"),
    [
        ([NONE, NONE], True, ["", ""]),
        ([NONE, NONE], False, ["is not in a Swarm, and qinling_swarm_init is false"] * 2),
        ([manager("a"), NONE], True, ["", ""]),
        ([manager("a"), manager("a")], True, ["", ""]),
        ([manager("a"), manager("b")], True, ["different Swarms (one to a, two to b)", ""]),
        ([manager("a"), WORKER], True, ["", "docker node promote two"]),
        ([manager("a"), None], True, ["", ""]),
        ([None, manager("b")], True, ["", ""]),
    ],
)
@pytest.mark.parametrize("host", [own, elsewhere])
def test_swarm_findings(
    states: list[dict[str, Any] | None],
    initialize: bool,
    expected: list[str],
    host: Callable[[dict[str, Any] | None], dict[str, Any]],
) -> None:
    names = ["one", "two"]
    hostvars = {name: host(state) for name, state in zip(names, states, strict=True)}
    for name, words in zip(names, expected, strict=True):
        found = FILTERS["swarm_findings"]([*names, "elsewhere"], hostvars, name, initialize)
        assert len(found) == bool(words)
        assert words in "".join(found)


@pytest.mark.parametrize(
    ("switches", "api_is_local", "expected"),
    [
        ({}, False, []),
        ({"iptables": True}, False, []),
        ({"iptables": False}, True, []),
        ({"iptables": False}, False, ["functions on one cannot reach a Qinling API on another host"]),
        ({"userland-proxy": False}, False, []),
        ({"userland-proxy": False, "iptables": False}, True, ["does not publish the ports of the gateway"]),
        (
            {"userland-proxy": False, "iptables": False},
            False,
            ["does not publish the ports", "cannot reach a Qinling API"],
        ),
    ],
)
def test_gateway_findings(switches: dict[str, bool], api_is_local: bool, expected: list[str]) -> None:
    found = FILTERS["gateway_findings"](switches, "one", api_is_local)
    assert len(found) == len(expected)
    for finding, words in zip(found, expected, strict=True):
        assert finding.startswith("/etc/docker/daemon.json on one: ")
        assert words in finding

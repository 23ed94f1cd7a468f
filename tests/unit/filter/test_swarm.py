# SPDX-License-Identifier: Apache-2.0
"""The Dockers of several hosts: one Swarm, or why not; and the relay on one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.filter.swarm import FilterModule, relay_findings, swarm_findings

NONE = {"LocalNodeState": "inactive", "ControlAvailable": False, "Cluster": None}
WORKER = {"LocalNodeState": "active", "ControlAvailable": False, "Cluster": None}


def manager(cluster: str) -> dict[str, Any]:
    return {"LocalNodeState": "active", "ControlAvailable": True, "Cluster": {"ID": cluster}}


def own(swarm: dict[str, Any] | None) -> dict[str, Any]:
    """Variables of a host whose own Docker the plan has inspected."""
    return {"plan": {"docker": {"swarm": swarm}}} if swarm else {"plan": {"docker": {}}}


def elsewhere(swarm: dict[str, Any] | None) -> dict[str, Any]:
    """Variables of a host whose engine uses another Docker."""
    return {**own(NONE), "__qinling_docker": {"host_info": {"Swarm": swarm}}} if swarm else {}


@pytest.mark.parametrize(
    ("states", "makes", "expected"),
    [
        ([NONE, NONE], True, ["", ""]),
        ([NONE, NONE], False, ["belongs to no Swarm, and qinling_swarm_init is off"] * 2),
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
    makes: bool,
    expected: list[str],
    host: Callable[[dict[str, Any] | None], dict[str, Any]],
) -> None:
    names = ["one", "two"]
    hostvars = {name: host(state) for name, state in zip(names, states, strict=True)}
    for name, words in zip(names, expected, strict=True):
        found = swarm_findings([*names, "elsewhere"], hostvars, name, makes)
        assert len(found) == bool(words)
        assert words in "".join(found)


@pytest.mark.parametrize(
    ("switches", "api_here", "expected"),
    [
        ({}, False, []),
        ({"iptables": True}, False, []),
        ({"iptables": False}, True, []),
        ({"iptables": False}, False, ["functions on one cannot reach a Qinling API on another host"]),
        ({"userland-proxy": False}, False, []),
        ({"userland-proxy": False, "iptables": False}, True, ["publishes no port of the relay"]),
        ({"userland-proxy": False, "iptables": False}, False, ["publishes no port", "cannot reach a Qinling API"]),
    ],
)
def test_relay_findings(switches: dict[str, bool], api_here: bool, expected: list[str]) -> None:
    found = relay_findings(switches, "one", api_here)
    assert len(found) == len(expected)
    for finding, words in zip(found, expected, strict=True):
        assert finding.startswith("/etc/docker/daemon.json on one: ")
        assert words in finding


def test_they_are_known_by_their_names() -> None:
    assert FilterModule().filters() == {"swarm_findings": swarm_findings, "relay_findings": relay_findings}

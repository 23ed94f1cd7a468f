# SPDX-License-Identifier: Apache-2.0
"""The Dockers of several hosts: one Swarm, or why not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.filter.swarm import FilterModule, swarm_findings

NONE = {"LocalNodeState": "inactive", "ControlAvailable": False, "Cluster": None}
WORKER = {"LocalNodeState": "active", "ControlAvailable": False, "Cluster": None}


def manager(cluster: str) -> dict[str, Any]:
    return {"LocalNodeState": "active", "ControlAvailable": True, "Cluster": {"ID": cluster}}


def host(swarm: dict[str, Any] | None) -> dict[str, Any]:
    return {"__qinling_docker": {"host_info": {"Swarm": swarm}}} if swarm else {}


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
def test_swarm_findings(states: list[dict[str, Any] | None], makes: bool, expected: list[str]) -> None:
    names = ["one", "two"]
    hostvars = {name: host(state) for name, state in zip(names, states, strict=True)}
    for name, words in zip(names, expected, strict=True):
        found = swarm_findings([*names, "elsewhere"], hostvars, name, makes)
        assert len(found) == bool(words)
        assert words in "".join(found)


def test_it_is_known_by_its_name() -> None:
    assert FilterModule().filters() == {"swarm_findings": swarm_findings}

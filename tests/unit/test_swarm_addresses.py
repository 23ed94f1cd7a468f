# SPDX-License-Identifier: Apache-2.0
"""The address on which Docker listens for a Swarm has Docker's format for each kind of address."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.filter.addresses import FilterModule

VARIABLES = yaml.safe_load((Path(__file__).resolve().parents[2] / "roles/qinling/vars/main.yml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1:2377"),
        ("fd00::1", "[fd00::1]:2377"),
        # Docker refuses this address without brackets.
        ("fd00::abc", "[fd00::abc]:2377"),
        ("eth0", "eth0:2377"),
    ],
)
def test_listen_address(address: str, expected: str) -> None:
    environment = jinja2.Environment(autoescape=False)
    for name, function in FilterModule().filters().items():
        environment.filters[f"qinling.kolla.{name}"] = function
    template = environment.from_string(VARIABLES["__qinling_swarm_listen_address"])
    assert template.render(qinling_swarm_advertise_address=address) == expected

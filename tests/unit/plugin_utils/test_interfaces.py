# SPDX-License-Identifier: Apache-2.0
"""A host's interfaces, from `ip -json address show` or from Ansible's facts."""

import json
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.interfaces import from_command, from_facts

LOOPBACK = {
    "ifindex": 1,
    "ifname": "lo",
    "addr_info": [
        {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"},
        {"family": "inet6", "local": "::1", "prefixlen": 128, "scope": "host"},
    ],
}
BRIDGE = {
    "ifname": "br-ex",
    "addr_info": [
        {"family": "inet", "local": "10.0.0.9", "scope": "global", "secondary": True},
        {"family": "inet", "local": "10.0.0.1", "scope": "global"},
        {"family": "inet", "local": "10.0.0.2", "scope": "global"},
        {"family": "inet6", "local": "fd00::1", "scope": "global"},
        {"family": "inet6", "local": "fe80::1", "scope": "link"},
    ],
}
LOOPBACK_FACTS = {"ipv4": {"address": "127.0.0.1"}, "ipv6": [{"address": "::1", "scope": "host"}]}
OUTPUTS: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "loopback": ([LOOPBACK], {"lo": LOOPBACK_FACTS}),
    "a secondary address, both families": (
        [BRIDGE],
        {
            "br-ex": {
                "ipv4": {"address": "10.0.0.1"},
                "ipv6": [{"address": "fd00::1", "scope": "global"}, {"address": "fe80::1", "scope": "link"}],
            },
        },
    ),
    "a VLAN of a link without addresses": (
        [{"ifname": "eth0"}, {"ifname": "eth0.7", "link": "eth0", "addr_info": []}],
        {"eth0": {}, "eth0.7": {}},
    ),
    # Older versions of iproute2 print empty entries for filtered links.
    "an empty entry": ([{}, LOOPBACK], {"lo": LOOPBACK_FACTS}),
    "other JSON": ({"interfaces": []}, None),
    "a list of something else": (["lo"], None),
}


@pytest.mark.parametrize(("output", "expected"), OUTPUTS.values(), ids=OUTPUTS)
def test_interfaces_from_command(output: Any, expected: dict[str, Any] | None) -> None:
    assert from_command(json.dumps(output)) == expected


@pytest.mark.parametrize("output", ["", "1: lo: <LOOPBACK,UP>", 'Option "-json" is unknown'])
def test_output_other_than_json_is_none(output: str) -> None:
    assert from_command(output) is None


@pytest.mark.parametrize("prefix", ["", "ansible_"])
def test_interfaces_from_facts(prefix: str) -> None:
    facts = {
        "interfaces": ["lo", "br-ex", "eth0.7", "gone"],
        "lo": {"ipv4": {"address": "127.0.0.1"}, "mtu": 1},
        "br_ex": {"ipv6": []},
        "eth0_7": {},
    }
    found = from_facts({f"{prefix}{name}": value for name, value in facts.items()})
    assert found == {"lo": {"ipv4": {"address": "127.0.0.1"}}, "br-ex": {}, "eth0.7": {}, "gone": {}}
    assert from_facts({}) == {}

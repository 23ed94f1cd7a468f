# SPDX-License-Identifier: Apache-2.0
"""A host's interfaces, by what `ip -json address show` prints, or by Ansible's facts."""

import json
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.interfaces import of_facts, of_ip

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
PRINTED: dict[str, tuple[Any, dict[str, Any] | None]] = {
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
    # Older iproute2 has empty entries for what a filter leaves out.
    "an empty entry": ([{}, LOOPBACK], {"lo": LOOPBACK_FACTS}),
    "other JSON": ({"interfaces": []}, None),
    "a list of something else": (["lo"], None),
}


@pytest.mark.parametrize(("printed", "expected"), PRINTED.values(), ids=PRINTED)
def test_of_ip(printed: Any, expected: dict[str, Any] | None) -> None:
    assert of_ip(json.dumps(printed)) == expected


@pytest.mark.parametrize("printed", ["", "1: lo: <LOOPBACK,UP>", 'Option "-json" is unknown'])
def test_what_is_not_json_is_no_answer(printed: str) -> None:
    assert of_ip(printed) is None


@pytest.mark.parametrize("prefix", ["", "ansible_"])
def test_of_facts(prefix: str) -> None:
    facts = {
        "interfaces": ["lo", "br-ex", "eth0.7", "gone"],
        "lo": {"ipv4": {"address": "127.0.0.1"}, "mtu": 1},
        "br_ex": {"ipv6": []},
        "eth0_7": {},
    }
    found = of_facts({f"{prefix}{name}": value for name, value in facts.items()})
    assert found == {"lo": {"ipv4": {"address": "127.0.0.1"}}, "br-ex": {}, "eth0.7": {}, "gone": {}}
    assert of_facts({}) == {}

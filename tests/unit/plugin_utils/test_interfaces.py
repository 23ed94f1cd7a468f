# SPDX-License-Identifier: Apache-2.0
"""What `ip -json address show` prints, as facts."""

import json
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils.interfaces import facts_of

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
    "loopback": ([LOOPBACK], {"interfaces": ["lo"], "lo": LOOPBACK_FACTS}),
    "a secondary address, both families": (
        [BRIDGE],
        {
            "interfaces": ["br-ex"],
            "br_ex": {
                "ipv4": {"address": "10.0.0.1"},
                "ipv6": [{"address": "fd00::1", "scope": "global"}, {"address": "fe80::1", "scope": "link"}],
            },
        },
    ),
    "a VLAN of a link without addresses": (
        [{"ifname": "eth0"}, {"ifname": "eth0.7", "link": "eth0", "addr_info": []}],
        {"interfaces": ["eth0", "eth0.7"], "eth0": {}, "eth0_7": {}},
    ),
    # Older iproute2 has empty entries for what a filter leaves out.
    "an empty entry": ([{}, LOOPBACK], {"interfaces": ["lo"], "lo": LOOPBACK_FACTS}),
    "other JSON": ({"interfaces": []}, None),
    "a list of something else": (["lo"], None),
}


@pytest.mark.parametrize(("printed", "expected"), PRINTED.values(), ids=PRINTED)
def test_facts_of(printed: Any, expected: dict[str, Any] | None) -> None:
    assert facts_of(json.dumps(printed)) == expected


@pytest.mark.parametrize("printed", ["", "1: lo: <LOOPBACK,UP>", 'Option "-json" is unknown'])
def test_what_is_not_json_is_no_answer(printed: str) -> None:
    assert facts_of(printed) is None

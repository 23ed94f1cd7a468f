# SPDX-License-Identifier: Apache-2.0
"""Kolla's filters for addresses."""

from typing import Any

import jinja2
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.qinling.kolla.plugins.filter.addresses import (
    FilterModule,
    address_of,
    put_address_in_context,
    transport_url,
)

FACTS = {
    "interfaces": ["lo", "eth0", "br-ex", "eth0.7", "bare"],
    "lo": {"ipv4": {"address": "127.0.0.1"}},
    "eth0": {
        "ipv4": {"address": "10.0.0.1"},
        "ipv6": [
            {"address": "fe80::1", "scope": "link"},
            {"address": "fd00::ff", "scope": "global"},
            {"address": "fd00::1", "scope": "global"},
        ],
    },
    "br_ex": {"ipv4": {"address": "10.0.0.2"}},
    "eth0_7": {"ipv4": {"address": "10.0.7.1"}},
    "bare": {},
}

ADDRESSES: dict[str, tuple[dict[str, Any], str]] = {
    "IPv4": ({"api_interface": "eth0"}, "10.0.0.1"),
    "loopback": ({"api_interface": "lo", "api_address_family": "ipv4"}, "127.0.0.1"),
    "a dash": ({"api_interface": "br-ex"}, "10.0.0.2"),
    "a VLAN": ({"api_interface": "eth0.7"}, "10.0.7.1"),
    "the default interface": ({"network_interface": "eth0"}, "10.0.0.1"),
    "IPv6, first global": ({"api_interface": "eth0", "api_address_family": "IPv6"}, "fd00::ff"),
    "the default family": ({"api_interface": "eth0", "network_address_family": "ipv6"}, "fd00::ff"),
    "IPv6, not the virtual one": (
        {
            "api_interface": "eth0",
            "api_address_family": "ipv6",
            "enable_haproxy": "yes",
            "kolla_internal_vip_address": "fd00::ff",
        },
        "fd00::1",
    ),
}


@pytest.mark.parametrize(("host", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_address_of(host: dict[str, Any], expected: str) -> None:
    assert address_of({"ansible_facts": FACTS, **host}, "h", "api") == expected


def test_interface_facts_take_precedence() -> None:
    facts = {**FACTS, "qinling_interfaces": {"br-ex": {"ipv4": {"address": "10.9.9.9"}}}}
    assert address_of({"ansible_facts": facts, "api_interface": "br-ex"}, "h", "api") == "10.9.9.9"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({}, "set api_interface"),
        ({"api_interface": "eth9"}, "eth9, which is not among its interfaces (lo, eth0, br-ex, eth0.7, bare)"),
        ({"api_interface": "eth0", "ansible_facts": {}}, "set api_interface_address for it"),
        ({"api_interface": "eth0", "api_address_family": "ipx"}, "expected ipv4 or ipv6"),
        ({"api_interface": "bare"}, "no ipv4 address"),
        ({"api_interface": "lo", "api_address_family": "ipv6"}, "no ipv6 address"),
    ],
)
def test_errors_name_host_and_variable(host: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        address_of({"ansible_facts": FACTS, **host}, "h", "api")
    assert words in str(error.value)
    assert "host h" in str(error.value)


def test_kolla_address_of_current_and_other_host() -> None:
    environment = jinja2.Environment(autoescape=False)
    environment.filters.update(FilterModule().filters())
    hostvars = {
        "one": {"api_interface": "eth0", "ansible_facts": FACTS},
        "two": {"api_interface": "lo", "ansible_facts": FACTS},
    }
    alone = environment.from_string("{{ 'api' | kolla_address }}")
    assert alone.render(inventory_hostname="one", **hostvars["one"]) == "10.0.0.1"
    with pytest.raises(AnsibleFilterError, match="hostvars must be defined"):
        environment.from_string("{{ 'api' | kolla_address('two') }}").render(inventory_hostname="one")
    template = environment.from_string("{{ 'api' | kolla_address }} {{ 'api' | kolla_address('two') }}")
    assert template.render(hostvars=hostvars, inventory_hostname="one") == "10.0.0.1 127.0.0.1"
    with pytest.raises(AnsibleFilterError, match="three is not in the inventory"):
        environment.from_string("{{ 'api' | kolla_address('three') }}").render(
            hostvars=hostvars, inventory_hostname="one"
        )


@pytest.mark.parametrize(
    ("host", "context", "expected"),
    [
        # An address from the inventory takes precedence, and may be missing on the interface.
        ({"api_interface_address": "10.9.9.9", "api_interface": "lo"}, {}, "10.9.9.9"),
        # In a play without group_vars, hostvars lacks role defaults.
        ({"ansible_facts": FACTS}, {"network_interface": "eth0"}, "10.0.0.1"),
        ({"ansible_facts": FACTS, "api_interface": "br-ex"}, {"network_interface": "eth0"}, "10.0.0.2"),
        ({}, {"network_interface": "", "api_interface_address": "127.0.0.1"}, "127.0.0.1"),
        # Facts and address of the current host do not apply to another one.
        ({}, {"network_interface": "eth0", "ansible_facts": FACTS}, None),
        ({}, {"network_interface": "", "api_interface_address": "10.0.0.1"}, None),
    ],
)
def test_addresses_of_other_hosts(host: dict[str, Any], context: dict[str, Any], expected: str | None) -> None:
    environment = jinja2.Environment(autoescape=False)
    environment.filters.update(FilterModule().filters())
    hostvars = {"one": {}, "two": host}
    variables = {"hostvars": hostvars, "inventory_hostname": "one", **context}
    addresses = environment.from_string("{{ ['two'] | kolla_addresses('api') | first }}")
    without = environment.from_string("{{ ['two'] | hosts_without_address | join }}").render(**variables)
    if expected:
        assert addresses.render(**variables) == expected
        assert without == ""
    else:
        with pytest.raises(AnsibleFilterError, match=r"host two: its address .*is unknown"):
            addresses.render(**variables)
        assert without == "two"


@pytest.mark.parametrize(
    ("address", "context", "expected"),
    [
        ("10.0.0.1", "url", "10.0.0.1"),
        ("host.example", "url", "host.example"),
        ("fd00::1", "url", "[fd00::1]"),
        ("10.0.0.1", "memcache", "10.0.0.1"),
        ("fd00::1", "memcache", "inet6:[fd00::1]"),
        ("10.0.0.1", "rabbitmq", "10,0,0,1"),
        ("fd00::1", "rabbitmq", "16#fd00,16#0,16#0,16#0,16#0,16#0,16#0,16#1"),
    ],
)
def test_put_address_in_context(address: str, context: str, expected: str) -> None:
    assert put_address_in_context(address, context) == expected


@pytest.mark.parametrize(("address", "context"), [("10.0.0.1", "html"), ("host.example", "rabbitmq")])
def test_invalid_contexts_are_refused(address: str, context: str) -> None:
    with pytest.raises(AnsibleFilterError):
        put_address_in_context(address, context)


@pytest.mark.parametrize(
    ("hosts", "options", "expected"),
    [
        (["10.0.0.1"], {}, "rabbit://u:p%2F%40@10.0.0.1:5672//"),
        (["10.0.0.1", "fd00::1"], {"vhost": "q"}, "rabbit://u:p%2F%40@10.0.0.1:5672,u:p%2F%40@[fd00::1]:5672/q"),
    ],
)
def test_transport_url(hosts: list[str], options: dict[str, str], expected: str) -> None:
    assert transport_url(hosts, "u", "p/@", "5672", **options) == expected


def test_transport_url_accepts_numeric_password() -> None:
    """An unquoted password of digits in passwords.yml is a number."""
    assert transport_url(["10.0.0.1"], "u", 123, 5672) == "rabbit://u:123@10.0.0.1:5672//"

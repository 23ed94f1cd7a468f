# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A host's interfaces and their addresses, by name: `ipv4` (`address`), `ipv6` (a list of `address` and `scope`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Prints JSON with iproute2 4.18 or later: https://man7.org/linux/man-pages/man8/ip.8.html, option -json.
COMMAND = "ip -json address show"


def from_command(output: str) -> dict[str, Any] | None:
    """Return the interfaces from the output of COMMAND, or None if it is not the expected JSON.

    An interface has its first IPv4 address that is not secondary, and all its IPv6 addresses.
    """
    try:
        return {str(link["ifname"]): _addresses(link.get("addr_info") or []) for link in json.loads(output) if link}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _addresses(infos: list[dict[str, Any]]) -> dict[str, Any]:
    ipv4 = [info["local"] for info in infos if info.get("family") == "inet" and not info.get("secondary")]
    ipv6 = [
        {"address": info["local"], "scope": info.get("scope", "")} for info in infos if info.get("family") == "inet6"
    ]
    return {**({"ipv4": {"address": ipv4[0]}} if ipv4 else {}), **({"ipv6": ipv6} if ipv6 else {})}


def from_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the interfaces from Ansible's facts of a host, whose names may have the prefix `ansible_`."""
    unprefixed = {str(name).removeprefix("ansible_"): value for name, value in facts.items()}
    # In facts, an interface's name is written as a variable name.
    entries = {name: unprefixed.get(fact_name(name)) or {} for name in unprefixed.get("interfaces") or []}
    return {
        name: {family: entry[family] for family in ("ipv4", "ipv6") if entry.get(family)}
        for name, entry in entries.items()
    }


def fact_name(interface: str) -> str:
    """Return the name of Ansible's fact about an interface."""
    return interface.replace("-", "_").replace(".", "_").replace(":", "_")

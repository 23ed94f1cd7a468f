# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A host's interfaces and their addresses, by name: `ipv4` (`address`), `ipv6` (a list of `address` and `scope`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# What iproute2 (4.18 or later) prints as JSON: https://man7.org/linux/man-pages/man8/ip.8.html, option -json.
COMMAND = "ip -json address show"


def of_ip(printed: str) -> dict[str, Any] | None:
    """Takes what COMMAND printed; returns the interfaces, or nothing where that is not its JSON.

    An interface has the first IPv4 address that is not a secondary one, and all of IPv6; what it has not is left out.
    """
    try:
        return {str(link["ifname"]): _addresses(link.get("addr_info") or []) for link in json.loads(printed) if link}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _addresses(infos: list[dict[str, Any]]) -> dict[str, Any]:
    first = [info["local"] for info in infos if info.get("family") == "inet" and not info.get("secondary")]
    sixth = [
        {"address": info["local"], "scope": info.get("scope", "")} for info in infos if info.get("family") == "inet6"
    ]
    return {**({"ipv4": {"address": first[0]}} if first else {}), **({"ipv6": sixth} if sixth else {})}


def of_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Takes Ansible's facts of a host, with or without `ansible_` before their names; returns the interfaces."""
    plain = {str(name).removeprefix("ansible_"): value for name, value in facts.items()}
    # Facts write an interface's name as a variable's.
    entries = {name: plain.get(variable_of(name)) or {} for name in plain.get("interfaces") or []}
    return {
        name: {family: entry[family] for family in ("ipv4", "ipv6") if entry.get(family)}
        for name, entry in entries.items()
    }


def variable_of(name: str) -> str:
    """Takes an interface's name, returns the name of the fact that Ansible has of it."""
    return name.replace("-", "_").replace(".", "_").replace(":", "_")

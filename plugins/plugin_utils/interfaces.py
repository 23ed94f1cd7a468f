# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A host's interfaces and addresses, in the shape of Ansible's own facts."""

from __future__ import annotations

import json
import re
from typing import Any

# What iproute2 (4.18 or later) prints as JSON: https://man7.org/linux/man-pages/man8/ip.8.html, option -json.
COMMAND = "ip -json address show"


def facts_of(printed: str) -> dict[str, Any] | None:
    """Takes what COMMAND printed; returns facts, or nothing where that is not its JSON.

    `interfaces` are the names; beside it each interface has its own entry, under its name as a variable's, with `ipv4`
    (`address`, the first that is not a secondary one) and `ipv6` (a list of `address` and `scope`), where it has them.
    """
    try:
        links = json.loads(printed)
        found = {str(link["ifname"]): _addresses(link.get("addr_info") or []) for link in links if link}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return {"interfaces": list(found), **{re.sub("[-.:]", "_", name): value for name, value in found.items()}}


def _addresses(infos: list[dict[str, Any]]) -> dict[str, Any]:
    first = [info["local"] for info in infos if info.get("family") == "inet" and not info.get("secondary")]
    sixth = [
        {"address": info["local"], "scope": info.get("scope", "")} for info in infos if info.get("family") == "inet6"
    ]
    return {**({"ipv4": {"address": first[0]}} if first else {}), **({"ipv6": sixth} if sixth else {})}

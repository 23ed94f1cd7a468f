# SPDX-License-Identifier: Apache-2.0
# Copyright (c) 2026, the qinling.kolla authors
"""Filters over what `qinling.kolla.configuration_info` says of the origin of options, on several hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils import origins


def origins_text(results: Sequence[Iterable[Mapping[str, Any]]], hosts: Sequence[str]) -> str:
    """Take the results of each of `hosts`, return as text where the options come from; empty where no file sets any."""
    found = {
        host: [answer for result in of_host for answer in result.get("origins", [])]
        for host, of_host in zip(hosts, results, strict=True)
    }
    return origins.text(found)


def near_options(results: Sequence[Iterable[Mapping[str, Any]]], question: str) -> list[str]:
    """Take the results of each host, return the options that may be meant by a `question` that nothing answers."""
    names = {name for of_host in results for result in of_host for name in result.get("names", [])}
    return origins.near(question, sorted(names))


class FilterModule:
    """Ansible's entry to the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"origins_text": origins_text, "near_options": near_options}

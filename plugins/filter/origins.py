# SPDX-License-Identifier: Apache-2.0
# Copyright (c) 2026, the qinling.kolla authors
"""Filters over what `qinling.kolla.plan` reports of the origin of options, on several hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._config import origins


def origins_text(plans: Sequence[Mapping[str, Any]], hosts: Sequence[str]) -> str:
    """Return where options come from, as text, from the plans of `hosts`; empty where no file sets any."""
    return origins.text({host: plan.get("origins", []) for host, plan in zip(hosts, plans, strict=True)})


def near_options(plans: Iterable[Mapping[str, Any]], question: str) -> list[str]:
    """Return the options that may be meant by a `question` that no origin in the hosts' plans answers."""
    return origins.near(question, sorted({name for plan in plans for name in plan.get("names", [])}))


class FilterModule:
    """Ansible's entry to the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"origins_text": origins_text, "near_options": near_options}

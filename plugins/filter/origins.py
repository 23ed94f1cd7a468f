# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the option origins that `qinling.kolla.plan` returns on several hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._config import origins


def origins_text(plans: Sequence[Mapping[str, Any]], hosts: Sequence[str]) -> str:
    """Return the option origins in the plans of `hosts` as text; empty if there are none."""
    return origins.text({host: plan.get("origins", []) for host, plan in zip(hosts, plans, strict=True)})


def similar_options(plans: Iterable[Mapping[str, Any]], query: str) -> list[str]:
    """Return the options in the hosts' plans with a name similar to a `query` without result."""
    return origins.similar_options(query, sorted({name for plan in plans for name in plan.get("names", [])}))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"origins_text": origins_text, "similar_options": similar_options}

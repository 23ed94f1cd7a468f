# SPDX-License-Identifier: Apache-2.0
# Copyright (c) 2026, the qinling.kolla authors
"""Filters over a catalog of images: entries with `name` and `parent` (empty: it stands on no other), parents first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

Catalog = Iterable[Mapping[str, Any]]


def with_parents(catalog: Catalog, names: Collection[str]) -> list[str]:
    """Takes a catalog and names, returns these and the names of all that they stand on, in the catalog's order."""
    entries = list(catalog)
    wanted = set(names)
    # Children come after their parents: backwards, each child has named its parent before that one is met.
    for entry in reversed(entries):
        if entry["name"] in wanted and entry["parent"]:
            wanted.add(entry["parent"])
    return [entry["name"] for entry in entries if entry["name"] in wanted]


def generations(catalog: Catalog) -> list[list[Mapping[str, Any]]]:
    """Takes the part of a catalog that is to be built, returns lists of what can be built at the same time.

    A parent that is not among them is there already.
    """
    depth: dict[str, int] = {}
    found: list[list[Mapping[str, Any]]] = []
    for entry in catalog:
        depth[entry["name"]] = level = depth.get(entry["parent"], -1) + 1
        found += [[] for _missing in range(level + 1 - len(found))]
        found[level].append(entry)
    return found


class FilterModule:
    """Ansible's entry to the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"images_with_parents": with_parents, "image_generations": generations}

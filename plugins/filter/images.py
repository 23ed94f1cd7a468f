# SPDX-License-Identifier: Apache-2.0
# Copyright (c) 2026, the qinling.kolla authors
"""Filters over a catalog of images: entries with `name` and `parent` (empty: it stands on no other), parents first."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import plain

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


def digests(
    catalog: Catalog, checksums: Mapping[str, str], base_inputs: Iterable[str], common: Iterable[str]
) -> dict[str, str]:
    """Return the digest of each image's inputs by name: its entry, its files, and those of its parent.

    `checksums` are those of all files by path. An image has the files of the folder of its name, of its `sources`, and
    those that are `common` to all; `base_inputs` are the inputs of images without a parent.
    """
    found: dict[str, str] = {}
    for entry in catalog:
        folders = [*common, entry["name"], *entry.get("sources", [])]
        own = re.compile(f"({'|'.join(map(re.escape, folders))})(/|$)")
        # Whatever the order in which a disk lists them.
        paths = sorted(filter(own.match, checksums), key=lambda path: (path.lower(), path))
        files = [{"key": path, "value": checksums[path]} for path in paths]
        seed = found[entry["parent"]] if entry["parent"] else list(base_inputs)
        text = json.dumps(plain([seed, entry, files]), sort_keys=True)
        found[entry["name"]] = hashlib.sha256(text.encode()).hexdigest()
    return found


class FilterModule:
    """Ansible's entry to the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"images_with_parents": with_parents, "image_generations": generations, "image_digests": digests}

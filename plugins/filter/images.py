# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over an image catalog: entries with `name` and `parent` (empty for a base image), parents first."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import to_plain

Catalog = Iterable[Mapping[str, Any]]


def with_parents(catalog: Catalog, names: Collection[str]) -> list[str]:
    """Return the images `names` and all their ancestors, in the catalog's order."""
    entries = list(catalog)
    selected = set(names)
    # In reverse order, each child is visited before its parent.
    for entry in reversed(entries):
        if entry["name"] in selected and entry["parent"]:
            selected.add(entry["parent"])
    return [entry["name"] for entry in entries if entry["name"] in selected]


def build_stages(catalog: Catalog) -> list[list[Mapping[str, Any]]]:
    """Return the images to build as a list of stages; the images of a stage can be built in parallel.

    A parent that is not in `catalog` exists already.
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
        # Independent of the order in which the file system lists them.
        paths = sorted(filter(own.match, checksums), key=lambda path: (path.lower(), path))
        files = [{"key": path, "value": checksums[path]} for path in paths]
        seed = found[entry["parent"]] if entry["parent"] else list(base_inputs)
        text = json.dumps(to_plain([seed, entry, files]), sort_keys=True)
        found[entry["name"]] = hashlib.sha256(text.encode()).hexdigest()
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"images_with_parents": with_parents, "build_stages": build_stages, "image_digests": digests}

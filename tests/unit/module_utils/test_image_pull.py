# SPDX-License-Identifier: Apache-2.0
"""Which images are fetched, and what becomes of them."""

from __future__ import annotations

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils.image_pull import Fetched, fetch_all


class Registry:
    """Images that a registry has, and that Docker has, by name with their ids."""

    def __init__(self, there: dict[str, str], here: dict[str, str]) -> None:
        self.there, self.here = there, here
        self.asked: list[str] = []

    def image_id(self, name: str) -> str:
        return self.here.get(name, "")

    def pull(self, name: str) -> str:
        self.asked.append(name)
        if name not in self.there:
            return "manifest unknown"
        self.here[name] = self.there[name]
        return ""


@pytest.mark.parametrize(
    ("always", "check", "asked", "outcome"),
    [
        (True, False, ["gone", "new", "old", "same"], {"new": ("", "1"), "old": ("1", "2"), "same": ("1", "1")}),
        (False, False, ["gone", "new"], {"new": ("", "1"), "old": ("1", "1"), "same": ("1", "1")}),
        (True, True, [], {"new": ("", "unknown"), "old": ("1", "1"), "same": ("1", "1")}),
    ],
)
def test_fetched(always: bool, check: bool, asked: list[str], outcome: dict[str, tuple[str, str]]) -> None:
    registry = Registry({"new": "1", "old": "2", "same": "1"}, {"old": "1", "same": "1"})
    done = {
        image.name: image
        for image in fetch_all(["new", "old", "same", "gone", "new"], always, check, registry, registry.pull)
    }
    assert sorted(registry.asked) == asked
    assert {name: (done[name].before, done[name].after) for name in outcome} == outcome
    if not check:
        assert done["gone"] == Fetched("gone", "", "", "manifest unknown")

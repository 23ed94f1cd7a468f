# SPDX-License-Identifier: Apache-2.0
"""Filters over the image catalog: parents, build stages and digests."""

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.filter.images import FilterModule

FILTERS = FilterModule().filters()
PARENTS = {"debian": "", "base": "debian", "etcd": "base", "openstack": "base", "api": "openstack", "runtime": "debian"}


def catalog(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "parent": PARENTS[name]} for name in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["debian"], ["debian"]),
        (["api"], ["debian", "base", "openstack", "api"]),
        (["runtime", "etcd"], ["debian", "base", "etcd", "runtime"]),
        (list(PARENTS), list(PARENTS)),
    ],
)
def test_with_parents(names: list[str], expected: list[str]) -> None:
    assert FILTERS["images_with_parents"](catalog(*PARENTS), names) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (list(PARENTS), [["debian"], ["base", "runtime"], ["etcd", "openstack"], ["api"]]),
        # Parents that are not selected exist already.
        (["etcd", "api"], [["etcd", "api"]]),
        (["openstack", "api", "runtime"], [["openstack", "runtime"], ["api"]]),
    ],
)
def test_build_stages(names: list[str], expected: list[list[str]]) -> None:
    found = FILTERS["build_stages"](catalog(*names))
    assert [[image["name"] for image in stage] for stage in found] == expected


CHECKSUMS = {"base/root/start": "1", "api/root/run": "2", "lib/a.py": "3", "build/install.sh": "4", "apis/other": "5"}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("base/root/start", {"base", "etcd", "openstack", "api"}),
        ("api/root/run", {"api"}),
        ("lib/a.py", {"openstack", "api"}),
        ("build/install.sh", set(PARENTS)),
        ("apis/other", set()),
        ("apis", set()),
        ("api", {"api"}),
    ],
)
def test_digest_changes_with_files_of_the_image(path: str, changed: set[str]) -> None:
    images = [{**image, "sources": ["lib"]} if image["name"] == "openstack" else image for image in catalog(*PARENTS)]
    digests = FILTERS["image_digests"]
    before = digests(images, CHECKSUMS, ["pull"], ["build/install.sh"])
    after = digests(images, {**CHECKSUMS, path: "new"}, ["pull"], ["build/install.sh"])
    assert {name for name in before if before[name] != after[name]} == changed
    reverse = dict(reversed(CHECKSUMS.items()))
    assert digests(images, reverse, ["pull"], ["build/install.sh"]) == before
    assert not set(digests(images, CHECKSUMS, ["debootstrap"], ["build/install.sh"]).values()) & set(before.values())

# SPDX-License-Identifier: Apache-2.0
"""Ownership of containers, volumes, networks and directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker import ownership

OURS, THEIRS = {ownership.DEPLOYMENT: "/etc/b"}, {ownership.DEPLOYMENT: "/etc/a"}
MANAGED = {"qinling.kolla/managed": "true"}
NOTHING: dict[str, dict[str, dict[str, str]]] = {"container": {}, "volume": {}, "network": {}}


def container(name: str, labels: dict[str, str] | None = None, *mounts: dict[str, str]) -> dict[str, Any]:
    return {"Names": [f"/{name}"], "Labels": labels, "Mounts": list(mounts)}


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (NOTHING, {}),
        ({**NOTHING, "container": {"etcd": OURS}, "volume": {"etcd": OURS}}, {}),
        # Created by an earlier version, or unmanaged.
        ({**NOTHING, "container": {"etcd": MANAGED}, "volume": {"etcd": {}}}, {}),
        ({**NOTHING, "container": {"other": THEIRS}}, {}),
        ({**NOTHING, "volume": {"etcd": THEIRS}}, {"/etc/a": {"volume": ["etcd"]}}),
        (
            {
                "container": {"etcd": THEIRS},
                "volume": {"logs": THEIRS},
                "network": {"functions": {**THEIRS, **MANAGED}},
            },
            {"/etc/a": {"container": ["etcd"], "volume": ["logs"], "network": ["functions"]}},
        ),
        (
            {**NOTHING, "container": {"etcd": THEIRS}, "volume": {"etcd": {ownership.DEPLOYMENT: "/etc/c"}}},
            {"/etc/a": {"container": ["etcd"]}, "/etc/c": {"volume": ["etcd"]}},
        ),
    ],
)
def test_foreign_objects(labels: dict[str, dict[str, dict[str, str]]], found: dict[str, dict[str, list[str]]]) -> None:
    claims = {"container": ["etcd", "etcd"], "volume": ["etcd", "logs"], "network": ["functions"]}
    assert ownership.foreign_objects("/etc/b", claims, labels) == found


@pytest.mark.parametrize(
    ("labels", "source", "found"),
    [
        (THEIRS, "/etc/kolla/etcd", {"/etc/a": ["/etc/kolla/etcd"]}),
        (THEIRS, "/etc/kolla/etcd/", {"/etc/a": ["/etc/kolla/etcd"]}),
        (THEIRS, "/etc/kolla", {}),
        (THEIRS, "/etc/kolla/other", {}),
        (OURS, "/etc/kolla/etcd", {}),
        (None, "/etc/kolla/etcd", {}),
    ],
)
def test_foreign_directories(labels: dict[str, str] | None, source: str, found: dict[str, list[str]]) -> None:
    containers = [container("x_etcd", labels, {"Type": "bind", "Source": source}), {"Names": ["/y"]}]
    assert ownership.foreign_directories("/etc/b", [Path("/etc/kolla/etcd")], containers) == found


@pytest.mark.parametrize(
    ("labels", "mounted", "starts", "variables"),
    [
        (NOTHING, "/elsewhere", [], ""),
        (
            {**NOTHING, "container": {"mariadb": THEIRS}},
            "/elsewhere",
            ["container mariadb belongs to the deployment /etc/a; expected the deployment /etc/b; "],
            "set qinling_container_prefix (docs/",
        ),
        (
            {**NOTHING, "container": {"mariadb": THEIRS, "etcd": THEIRS}, "volume": {"mariadb": THEIRS}},
            "/etc/kolla/etcd",
            ["containers etcd, mariadb; volume mariadb; directory /etc/kolla/etcd belong to the deployment /etc/a;"],
            "set qinling_container_prefix and node_config (docs/",
        ),
        (NOTHING, "/etc/kolla/etcd", ["directory /etc/kolla/etcd belongs to "], "set node_config (docs/"),
        (
            {**NOTHING, "container": {"etcd": {ownership.DEPLOYMENT: "/etc/c"}}, "volume": {"mariadb": THEIRS}},
            "/elsewhere",
            [
                "volume mariadb belongs to the deployment /etc/a;",
                "container etcd belongs to the deployment /etc/c;",
            ],
            "set qinling_container_prefix (docs/",
        ),
    ],
)
def test_one_message_lists_all_objects_of_another_deployment(
    labels: dict[str, dict[str, dict[str, str]]], mounted: str, starts: list[str], variables: str
) -> None:
    claims = {"container": ["etcd", "mariadb"], "volume": ["mariadb"], "network": []}
    containers = [container("x", THEIRS, {"Type": "bind", "Source": mounted})]
    found = ownership.owner_findings("/etc/b", claims, labels, [Path("/etc/kolla/etcd")], containers)
    assert [finding[: len(start)] for finding, start in zip(found, starts, strict=True)] == starts
    for finding in found:
        assert variables in finding
        owner = finding.split(" to the deployment ")[1].split(";")[0]
        assert finding.endswith(f"deployment was moved, set qinling_deployment: {owner}")


@pytest.mark.parametrize(
    ("name", "labels", "removed"),
    [
        ("x_etcd", None, True),
        ("x_mariadb", OURS, False),
        ("", OURS, True),
        ("", THEIRS, False),
        ("worker", {ownership.INSTANCE: "x-functions"}, True),
        ("worker", {ownership.INSTANCE: "y-functions"}, False),
        ("fluentd", None, False),
        ("fluentd", {}, False),
        ("y_etcd", THEIRS, False),
        ("y_etcd", MANAGED, False),
    ],
)
def test_is_removed(name: str, labels: dict[str, str] | None, removed: bool) -> None:
    listed = container(name, labels) if name else {**container(name, labels), "Names": [], "Id": "0a1b"}
    assert ownership.is_removed(listed, "/etc/b", ["x_etcd"], ["x-functions"]) is removed


def test_volume_users_are_containers_that_mount_a_named_volume() -> None:
    logs = {"Type": "volume", "Name": "logs"}
    one, other = container("one", None, logs, {"Type": "bind", "Source": "/logs"}), container("other", {}, logs)
    assert ownership.volume_users([one, other, {"Names": ["/none"]}]) == {"logs": [one, other]}

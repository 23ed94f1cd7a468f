# SPDX-License-Identifier: Apache-2.0
"""Which containers are as wanted, by Docker's list of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils.definitions import (
    LABEL,
    MADE_FROM,
    definition_of,
    made_of,
    settled_of,
)

PROJECT = Path(__file__).resolve().parents[3]
SERVICE: dict[str, Any] = {
    "container_name": "qinling_api",
    "group": "qinling-api",
    "image": "kolla/qinling-api:1",
    "volumes": ["qinling:/var/lib/qinling/"],
    "healthcheck": {"test": ["CMD", "true"]},
}
SETTINGS = {"healthchecks": True, "restart_policy": "always"}
DIGEST = definition_of(SERVICE, "abc", SETTINGS)
CONTAINER: dict[str, Any] = {
    "Names": ["/qinling_api"],
    "Image": "kolla/qinling-api:1",
    "State": "running",
    "Status": "Up 2 minutes (healthy)",
    "Labels": {LABEL: DIGEST, "more": "there"},
}


def made(container: dict[str, Any], service: dict[str, Any] = SERVICE, settings: Any = SETTINGS) -> Any:
    return made_of({"qinling-api": service}, [container], {"qinling-api": "abc"}, settings)


def settled(container: dict[str, Any], service: dict[str, Any] = SERVICE, settings: Any = SETTINGS) -> list[str]:
    return settled_of({"qinling-api": service}, made(container, service, settings), settings)


@pytest.mark.parametrize(
    ("container", "was_made", "as_wanted"),
    [
        (CONTAINER, True, True),
        ({**CONTAINER, "Names": ["/other", "/qinling_api"]}, True, True),
        ({**CONTAINER, "Names": ["/other"]}, False, False),
        ({**CONTAINER, "State": "exited", "Status": "Exited (0) 2 minutes ago"}, True, False),
        ({**CONTAINER, "Status": "Up 2 minutes (unhealthy)"}, True, False),
        ({**CONTAINER, "Status": "Up 2 seconds (health: starting)"}, True, False),
        ({**CONTAINER, "Image": "sha256:0123"}, False, False),
        ({**CONTAINER, "Labels": {}}, False, False),
        ({**CONTAINER, "Labels": {LABEL: "another"}}, False, False),
    ],
)
def test_made_and_settled(container: dict[str, Any], was_made: bool, as_wanted: bool) -> None:
    assert list(made(container)) == (["qinling-api"] if was_made else [])
    assert settled(container) == (["qinling-api"] if as_wanted else [])


def test_health_is_asked_only_where_there_is_a_check() -> None:
    off = {**SETTINGS, "healthchecks": False}
    plain = {**CONTAINER, "Status": "Up 2 minutes", "Labels": {LABEL: definition_of(SERVICE, "abc", off)}}
    assert settled(plain, settings=off)
    unchecked = {key: value for key, value in SERVICE.items() if key != "healthcheck"}
    assert settled({**plain, "Labels": {LABEL: definition_of(unchecked, "abc", SETTINGS)}}, unchecked)


@pytest.mark.parametrize("key", MADE_FROM)
def test_what_a_container_is_made_from_counts(key: str) -> None:
    assert definition_of({**SERVICE, key: "changed"}, "abc", SETTINGS) != DIGEST


def test_configuration_and_settings_count_and_nothing_else() -> None:
    assert definition_of(SERVICE, "abd", SETTINGS) != DIGEST
    assert definition_of(SERVICE, "abc", {**SETTINGS, "restart_policy": "no"}) != DIGEST
    assert definition_of({**SERVICE, "haproxy": {}, "group": "control"}, "abc", SETTINGS) == DIGEST


def test_the_role_makes_containers_from_nothing_else() -> None:
    """A key that container.yml learns to use has to get into the digest."""
    used = re.findall(r"service_item\.value\.(\w+)", (PROJECT / "roles/service/tasks/container.yml").read_text())
    assert set(used) - {"container_name"} == set(MADE_FROM)

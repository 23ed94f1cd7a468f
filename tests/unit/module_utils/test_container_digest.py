# SPDX-License-Identifier: Apache-2.0
"""Digests of containers, and containers that are up to date."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.qinling.kolla.plugins.module_utils._docker import container_spec
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import (
    BOOTSTRAP,
    CONTAINER_KEYS,
    LABEL,
    bootstrap_of,
    bootstrapped_of,
    canonical,
    definition_of,
    has_healthcheck,
    is_disabled,
    unchanged_of,
    up_to_date_of,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import templating

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


def unchanged(container: dict[str, Any], service: Any = None, settings: Any = None) -> Any:
    service, settings = service or SERVICE, settings or SETTINGS
    return unchanged_of({"qinling-api": service}, [container], {"qinling-api": definition_of(service, "abc", settings)})


def up_to_date(container: dict[str, Any], service: Any = None, settings: Any = None) -> list[str]:
    service, settings = service or SERVICE, settings or SETTINGS
    return up_to_date_of({"qinling-api": service}, unchanged(container, service, settings), settings)


@pytest.mark.parametrize(
    ("container", "is_unchanged", "is_up_to_date"),
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
def test_unchanged_and_up_to_date(container: dict[str, Any], is_unchanged: bool, is_up_to_date: bool) -> None:
    assert list(unchanged(container)) == (["qinling-api"] if is_unchanged else [])
    assert up_to_date(container) == (["qinling-api"] if is_up_to_date else [])


def test_health_is_required_only_with_a_health_check() -> None:
    off = {**SETTINGS, "healthchecks": False}
    unchecked_container = {**CONTAINER, "Status": "Up 2 minutes", "Labels": {LABEL: definition_of(SERVICE, "abc", off)}}
    assert up_to_date(unchecked_container, settings=off)
    unchecked = {key: value for key, value in SERVICE.items() if key != "healthcheck"}
    assert up_to_date({**unchecked_container, "Labels": {LABEL: definition_of(unchecked, "abc", SETTINGS)}}, unchecked)


@pytest.mark.parametrize(
    ("status", "test", "is_up_to_date"),
    [
        ("Up 2 minutes", "NONE", True),
        ("Up 2 minutes", ["NONE"], True),
        ("Up 2 minutes", ["CMD", "true"], False),
        ("Up 2 minutes (healthy)", ["CMD", "true"], True),
    ],
)
def test_container_without_health_check_has_to_run(status: str, test: Any, is_up_to_date: bool) -> None:
    service = {**SERVICE, "healthcheck": {"interval": "30s", "test": test}}
    labels = {LABEL: definition_of(service, "abc", SETTINGS)}
    assert up_to_date({**CONTAINER, "Status": status, "Labels": labels}, service) == ["qinling-api"] * is_up_to_date
    stopped = {**CONTAINER, "State": "exited", "Status": "Exited (1) 2 minutes ago", "Labels": labels}
    assert up_to_date(stopped, service) == []


@pytest.mark.parametrize(
    ("test", "disabled"),
    [
        ("NONE", True),
        (["NONE"], True),
        (("NONE",), True),
        ("none", False),
        ("NONE ", False),
        (["NONE", "x"], False),
        (["CMD", "NONE"], False),
        ([], False),
        (None, False),
    ],
)
def test_health_check_is_disabled_by_none(test: Any, disabled: bool) -> None:
    assert is_disabled(test) is disabled
    assert has_healthcheck({"healthcheck": {"test": test}}) is not disabled


def test_service_without_the_key_has_no_health_check() -> None:
    assert not has_healthcheck({})
    assert not has_healthcheck({"healthcheck": {}})


@pytest.mark.parametrize("key", CONTAINER_KEYS)
def test_container_keys_change_the_digest(key: str) -> None:
    assert definition_of({**SERVICE, key: "changed"}, "abc", SETTINGS) != DIGEST


def test_only_container_keys_configuration_and_settings_change_the_digest() -> None:
    assert definition_of(SERVICE, "abd", SETTINGS) != DIGEST
    assert definition_of(SERVICE, "abc", {**SETTINGS, "restart_policy": "no"}) != DIGEST
    assert definition_of({**SERVICE, "haproxy": {}, "group": "control"}, "abc", SETTINGS) == DIGEST


class Recorded(dict[str, Any]):
    """A service's entry that records which of its keys are read."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(entry)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def test_containers_are_created_only_from_container_keys() -> None:
    """Every key that container_spec reads has to be part of the digest."""
    service = Recorded(SERVICE)
    container_spec.spec_of("qinling-api", service, {**SETTINGS, "stop_timeout": 60}, {}, [])
    assert service.read - {"container_name"} == set(CONTAINER_KEYS)


def test_bootstrap_depends_on_image_and_inputs() -> None:
    inputs = bootstrap_of(["db:3306", "qinling"])
    assert inputs == bootstrap_of(("db:3306", "qinling")) != bootstrap_of(["db:3306", "other"])
    done = {**CONTAINER, "State": "exited", "Labels": {BOOTSTRAP: inputs}}
    local = {"qinling-api": SERVICE}
    assert bootstrapped_of(local, [done], {"qinling-api": inputs}) == ["qinling-api"]
    for outdated in ({**done, "Image": "sha256:1"}, {**done, "Labels": None}, {**done, "Labels": {BOOTSTRAP: "x"}}):
        assert bootstrapped_of(local, [outdated], {"qinling-api": inputs}) == []
    # The service is not assigned to this host.
    assert bootstrapped_of({}, [done], {"qinling-api": inputs}) == []


# Entries of a service by key, with templates and with literal values. Jinja preserves the types of results
# since ansible-core 2.19 and converts them to text before; the tests run on both versions.
TEMPLATED: dict[str, tuple[Any, Any]] = {
    "image": ("kolla/api:{{ 2026.1 }}", "kolla/api:2026.1"),
    "healthcheck": (
        {"interval": "{{ seven }}s", "retries": "{{ seven }}", "test": ["CMD", "{{ seven }}"]},
        {"interval": "7s", "retries": 7, "test": ["CMD", 7]},
    ),
    "environment": (
        {"A": "{{ seven }}", "B": "{{ yes }}", "C": "{{ half }}", "D": "{{ none }}", "E": "{{ seven | int + 1 }}"},
        {"A": 7, "B": True, "C": 0.5, "D": None, "E": 8},
    ),
    "published_ports": (["127.0.0.1:{{ seven }}:{{ seven }}"], ["127.0.0.1:7:7"]),
    "groups": (["{{ seven }}", "{{ seven | string }}"], [7, "7"]),
    "dimensions": (
        "{{ {'cpu_shares': seven | int, 'ulimits': {'nofile': {'soft': seven, 'hard': 8}}} }}",
        {"cpu_shares": 7, "ulimits": {"nofile": {"soft": 7, "hard": 8}}},
    ),
    "volumes": ("{{ ['a:/a'] + (['b:/b'] if yes else []) }}", ["a:/a", "b:/b"]),
}


@pytest.mark.parametrize("key", TEMPLATED)
def test_digest_does_not_depend_on_jinja_types(key: str) -> None:
    template, literal = TEMPLATED[key]
    variables = {"seven": "{{ 3 + 4 }}", "yes": "{{ 1 == 1 }}", "half": "{{ 1 / 2 }}", "none": None}
    trusted = {name: templating.trust(value) if isinstance(value, str) else value for name, value in variables.items()}
    rendered = Templar(loader=DataLoader(), variables=trusted).template(trust_all(template))
    assert canonical(rendered) == canonical(literal)
    assert definition_of({key: rendered}, "abc", SETTINGS) == definition_of({key: literal}, "abc", SETTINGS)


def trust_all(value: Any) -> Any:
    """Return data with every text in it trusted as a template."""
    if isinstance(value, dict):
        return {key: trust_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trust_all(item) for item in value]
    return templating.trust(value)


def test_digest_is_the_same_for_numbers_and_text() -> None:
    assert definition_of(SERVICE, "abc", {"stop_timeout": 60}) == definition_of(SERVICE, "abc", {"stop_timeout": "60"})
    assert canonical({1: [True, None, 0.5, "text", {"a": (1, 2)}]}) == {
        "1": ["True", "", "0.5", "text", {"a": ["1", "2"]}]
    }

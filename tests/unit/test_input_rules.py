# SPDX-License-Identifier: Apache-2.0
"""Every variable of a service's configuration has a rule, or a reason why it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs, prechecks
from ansible_collections.qinling.kolla.plugins.plugin_utils._input.inputs import InputSchema

PROJECT = Path(__file__).resolve().parents[2]
ROLES = ("etcd", "keystone", "mariadb", "memcached", "qinling", "rabbitmq")
SCHEMA = InputSchema.load(PROJECT / "roles", PROJECT / "group_vars/all")
DEFAULTS = [*(PROJECT / f"roles/{role}/defaults/main.yml" for role in ROLES), *PROJECT.glob("group_vars/all/*.yml")]
VARIABLES = sorted({name for path in DEFAULTS for name in inputs._mapping(path) if not name.startswith("__")})
ASCENDING = {name for order in SCHEMA.ascending for name in order}
# Types that accept any text or number.
UNRESTRICTED = {"any", "text", "string", "int", "like_int", "float"}


def has_rule(spec: Any) -> bool:
    """Return whether an expectation restricts more than the type."""
    full = prechecks._full(spec)
    kind = full.get("type", "any")
    if {"choices", "pattern", "min", "max"} & set(full):
        return True
    if kind == "list":
        return has_rule(full.get("elements", "any"))
    if kind == "dict":
        parts = [*(full.get("options") or {}).values(), *(full[key] for key in ("keys", "values") if key in full)]
        return any(map(has_rule, parts))
    return kind not in UNRESTRICTED


@pytest.mark.parametrize("name", VARIABLES)
def test_variable_has_a_rule_or_a_reason(name: str) -> None:
    restricted = has_rule(SCHEMA.variables.get(name, "any")) or name in ASCENDING
    reason = SCHEMA.free_form.get(name, "")
    assert restricted or reason, (
        f"{name}: add a rule, or a reason under free_form, to the meta/input_rules.yml of its role"
    )
    assert not (restricted and reason), f"{name} has a rule and is free-form"


def test_reasons_refer_to_existing_variables() -> None:
    assert not set(SCHEMA.free_form) - set(VARIABLES)
    assert all(len(reason.split()) > 3 for reason in SCHEMA.free_form.values())


def literal(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values without templates."""
    return {name: value for name, value in values.items() if "{{" not in str(value)}


@pytest.mark.parametrize("path", DEFAULTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_literal_defaults_comply_with_the_rules(path: Path) -> None:
    values = literal(inputs._mapping(path))
    specs = {name: spec for name, spec in SCHEMA.variables.items() if name in values}
    assert prechecks.variable_findings(specs, values) == []


@pytest.mark.parametrize("path", [*PROJECT.glob("molecule/*/globals.yml")], ids=lambda path: path.parent.name)
def test_settings_of_scenarios_comply_with_the_rules(path: Path) -> None:
    values = literal(inputs._mapping(path))
    specs = {name: spec for name, spec in SCHEMA.variables.items() if name in values}
    assert specs
    assert prechecks.variable_findings(specs, values) == []
    assert inputs.number_findings(path.read_text(), "f", SCHEMA.variables) == []


# Values from Kolla Ansible's group_vars and roles, where most numbers are strings.
KOLLA: dict[str, Any] = {
    "database_port": "3306",
    "default_container_dimensions": {"ulimits": {"nofile": {"soft": 1048576, "hard": 1048576}}},
    "default_extra_volumes": [],
    "default_user_domain_id": "default",
    "docker_image_url": "quay.io/openstack.kolla/",
    "docker_namespace": "openstack.kolla",
    "docker_registry": "quay.io",
    "docker_restart_policy": "unless-stopped",
    "enable_mariadb": True,
    "etcd_client_port": "2379",
    "kolla_container_engine": "docker",
    "kolla_dev_repos_git": "https://opendev.org/openstack",
    "memcached_connection_limit": "5000",
    "memcached_max_memory": "256",
    "openstack_cacert": "",
    "openstack_region_name": "RegionOne",
    "openstack_release": "2026.1",
    "openstack_service_workers": "5",
    "om_rpc_vhost": "/",
    "rabbitmq_epmd_port": "4369",
    "network_interface": "eth0",
}


@pytest.mark.parametrize("name", KOLLA)
def test_values_of_kolla_comply_with_the_rules(name: str) -> None:
    assert prechecks.variable_findings({name: SCHEMA.variables[name]}, {name: KOLLA[name]}) == []


BAD: list[tuple[str, Any, str]] = [
    ("mariadb_max_connections", "5_12", "expected an integer"),
    ("mariadb_max_connections", "٣٢", "expected an integer"),
    ("mariadb_innodb_buffer_pool_size", "lots", "expected a size such as 128M or 2G"),
    ("keystone_workers", 0, "at least 1"),
    ("rabbitmq_nodename", "rabbit", "expected a node's name as name@host"),
    ("qinling_log_max_count", -1, "at least 1"),
    ("qinling_database_user", "a'b", "expected a database user's name"),
    ("qinling_database_name", "q; DROP TABLE x", "expected a database's name"),
    ("openstack_region_name", "Region\nOne", "expected a name"),
    ("openstack_cacert", "ca.pem", "expected an absolute path"),
    ("qinling_runtimes", [{"name": "a", "image": "A:@"}], "element 1: image expected an image"),
    ("qinling_swarm_placement_constraints", ["node.labels"], "element 1: expected key==value"),
    ("qinling_gateway_subnets", ["10.0.0.0/8", "fd00::/8"], "element 2: expected an IPv4 network (address/bits"),
    ("qinling_gateway_network_subnet", "fd00:29::/64", "expected an IPv4 network (address/bits"),
    ("default_container_dimensions", {"memlimit": 1}, "unknown keys: memlimit"),
    ("etcd_extra_volumes", ["/a"], "element 1: expected source:target"),
    ("rpc_transport_url", "rabbit//user:hunter2@x", "expected a URL of oslo.messaging"),
    ("kolla_serial", "half", "expected a number of hosts or a percentage"),
    ("qinling_kube_host", "https://a\nb", "expected a URL"),
    ("qinling_etcd_protocol", "ftp", "expected one of http, https"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_values_that_break_a_rule_are_reported(name: str, value: Any, words: str) -> None:
    (finding,) = prechecks.variable_findings({name: SCHEMA.variables[name]}, {name: value})
    assert finding.where == name
    assert words in finding.message
    assert "hunter2" not in finding.message


def test_integers_of_another_base_are_reported() -> None:
    text = (
        "qinling_api_port: 07070\nmemcached_port: 6:07:50\nopenstack_service_workers: 1_0\ndatabase_port: 3306\n"
        'etcd_client_port: "02379"\nqinling_tag: 0777\nkolla_max_fail_percentage: 5\nqinling_gateway_port: 0\n'
    )
    assert [str(finding) for finding in inputs.number_findings(text, "f", SCHEMA.variables)] == [
        f"f:{line}: {name}: YAML reads {raw} as {number}; expected a plain decimal number; write {number}, "
        "or the intended number"
        for line, name, raw, number in (
            (1, "qinling_api_port", "07070", 3640),
            (2, "memcached_port", "6:07:50", 22070),
            (3, "openstack_service_workers", "1_0", 10),
        )
    ]


def test_unusual_value_causes_a_warning() -> None:
    values = {"qinling_keystone_role": "nosuchrole"}
    (warning,) = inputs.unusual_warnings(SCHEMA.variables, values)
    assert warning.startswith(
        "qinling_keystone_role: nosuchrole is not one of service, admin: a role that Keystone does"
    )
    assert inputs.unusual_warnings(SCHEMA.variables, {"qinling_keystone_role": "admin"}) == []


def test_defaults_that_use_passwords_are_not_evaluated() -> None:
    own = {"rpc_transport_url": SCHEMA.global_defaults["rpc_transport_url"], "openstack_region_name": "RegionOne"}
    assert SCHEMA.given(own) == ["openstack_region_name"]
    assert sorted(SCHEMA.given({**own, "rpc_transport_url": "rabbit//x"})) == [
        "openstack_region_name",
        "rpc_transport_url",
    ]

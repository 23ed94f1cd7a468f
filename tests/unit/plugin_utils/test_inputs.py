# SPDX-License-Identifier: Apache-2.0
"""Validation of an operator's input against the roles' specifications."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs, prechecks
from ansible_collections.qinling.kolla.plugins.plugin_utils._input.inputs import InputSchema

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def schema() -> InputSchema:
    return InputSchema.load(PROJECT / "roles", PROJECT / "group_vars/all")


def test_rules_refer_to_existing_variables(schema: InputSchema) -> None:
    existing: set[str] = {"kolla_container_engine"}
    for path in [*PROJECT.glob("roles/*/defaults/main.yml"), *PROJECT.glob("group_vars/all/*.yml")]:
        existing |= set(inputs.key_lines(path.read_text())[0])
    assert {"qinling_api_port", "etcd_client_port"} <= set(schema.variables) <= existing | set(schema.aliases)
    ascending = {name for order in schema.ascending for name in order}
    assert ascending
    assert ascending <= existing


def test_all_types_of_the_schema_are_known(schema: InputSchema) -> None:
    values: dict[str, Any] = dict.fromkeys(schema.variables, object())
    for findings in (
        prechecks.variable_findings(schema.variables, values),
        prechecks.variable_findings(schema.types(), values),
    ):
        assert not [finding for finding in findings if "unknown type" in finding.message]


def test_literal_defaults_are_valid(schema: InputSchema) -> None:
    literal = {name: value for name, value in schema.defaults.items() if "{{" not in str(value)}
    specs = {name: spec for name, spec in schema.variables.items() if name in literal}
    assert prechecks.variable_findings(specs, literal) == []
    assert inputs.ascending_findings(schema.ascending, literal) == []


def test_types_ignore_ranges_and_choices(schema: InputSchema) -> None:
    values = {"qinling_api_port": 70000, "qinling_orchestrator": "mesos", "qinling_public_endpoint": "nowhere"}
    assert len(prechecks.variable_findings(schema.variables, values)) == 3
    assert prechecks.variable_findings(schema.types(), values) == []
    assert prechecks.variable_findings(schema.types(), {"qinling_api_port": "http"})


def test_unknown_names_are_reported() -> None:
    findings, warnings = inputs.name_findings(
        ["qinling_api_port", "qinling_api_prot", "enable_qinlng", "nova_api_prot", "qinling_own_value"],
        {"qinling_api_port", "nova_api_port"},
        "qinling",
    )
    assert [str(finding) for finding in findings] == [
        "qinling_api_prot: unknown variable; did you mean qinling_api_port?"
    ]
    assert warnings == ["unused variables: qinling_own_value; check their names"]


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"low": 1, "middle": 2, "high": 2}, 0),
        ({"low": "3", "middle": 2, "high": 4}, 1),
        ({"low": 3, "middle": 2, "high": 1}, 2),
        ({"low": 3, "high": 1}, 1),
        ({"low": "x", "middle": 2}, 0),
        ({"low": None}, 0),
    ],
)
def test_orders_are_checked(values: dict[str, Any], lines: int) -> None:
    assert len(inputs.ascending_findings([["low", "middle", "high"]], values)) == lines


HOSTS: dict[str, tuple[dict[str, tuple[str, str, str]], list[str]]] = {
    "different addresses": ({"a": ("ssh", "10.0.0.1", "22"), "b": ("ssh", "10.0.0.2", "22")}, []),
    "same address": ({"a": ("ssh", "10.0.0.1", "22"), "b": ("ssh", "10.0.0.1", "22")}, ["hosts a, b"]),
    "same address, different ports": ({"a": ("ssh", "10.0.0.1", "22"), "b": ("ssh", "10.0.0.1", "2222")}, []),
    "both local": ({"a": ("local", "a", "22"), "b": ("local", "b", "22")}, ["hosts a, b"]),
}


@pytest.mark.parametrize(("hosts", "locations"), HOSTS.values(), ids=HOSTS)
def test_duplicate_hosts_are_reported(hosts: dict[str, tuple[str, str, str]], locations: list[str]) -> None:
    assert [finding.where for finding in inputs.host_findings(hosts)] == locations


def test_key_lines_and_duplicates() -> None:
    assert inputs.key_lines("a: 1\nb: !vault x\n\na: 2\n") == ({"a": 4, "b": 2}, [("a", 1, 4)])
    assert inputs.key_lines("- a\n") == ({}, [])
    assert inputs.key_lines("a: [\n") == ({}, [])


OVERRIDES = [
    {"path": "qinling.conf", "format": "ini"},
    {"path": "qinling/qinling-engine.conf", "format": "ini"},
    {"path": "qinling/<host>/qinling.conf", "format": "ini"},
    {"path": "qinling/qinling-engine/kubernetes.key"},
    {"path": "mariadb/my.cnf"},
]


def overrides(folder: Path, *names: str) -> tuple[list[str], list[str], list[str]]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    findings, warnings, files = inputs.override_findings(folder, OVERRIDES, ["control01", "control02"])
    strip = f"{folder}/"
    return (
        [str(finding).replace(strip, "") for finding in findings],
        [text.replace(strip, "") for text in warnings],
        [f"{path.relative_to(folder)} {kind}" for path, kind in files],
    )


def test_known_files_are_found(tmp_path: Path) -> None:
    names = ("qinling.conf", "qinling/control01/qinling.conf", "qinling/qinling-engine/kubernetes.key", "nova.conf")
    assert overrides(tmp_path, *names, "neutron/ml2.ini", "qinling/.swp") == (
        [],
        [],
        ["qinling.conf ini", "qinling/control01/qinling.conf ini", "qinling/qinling-engine/kubernetes.key text"],
    )


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("qinling.cnf", "qinling.cnf: unused file; did you mean qinling.conf?"),
        ("qinling/qinling-engne.conf", "did you mean qinling/qinling-engine.conf?"),
        ("qinling/control1/qinling.conf", "qinling/control1: the inventory has no host control1; did you mean"),
        ("qinling/web/qinling.conf", "qinling/web: the inventory has no host web; its hosts are control01, control02"),
    ],
)
def test_misspelled_files_are_reported(tmp_path: Path, name: str, finding: str) -> None:
    (found,) = overrides(tmp_path, name)[0]
    assert finding in found


def test_unused_files_cause_a_warning(tmp_path: Path) -> None:
    findings, warnings, _files = overrides(tmp_path, "qinling/notes.txt")
    assert (findings, warnings) == ([], ["qinling/notes.txt: unused file; check its name"])


def test_missing_directory_has_no_findings(tmp_path: Path) -> None:
    assert overrides(tmp_path / "none") == ([], [], [])


def test_file_instead_of_the_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    (finding,) = inputs.override_findings(tmp_path / "config", OVERRIDES, [])[0]
    assert "expected a directory" in finding.message


def test_findings_get_file_and_line() -> None:
    findings = [inputs.Finding("a", 0, "is invalid"), inputs.Finding("b", 0, "is invalid")]
    assert [str(finding) for finding in inputs.with_location(findings, "f", {"a": 3})] == [
        "f:3: a: is invalid",
        "b: is invalid",
    ]


def test_unreadable_files_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("gone")
    assert inputs.file_problem(tmp_path / "file") == inputs.file_problem(tmp_path / "none") == ""
    assert "a directory; expected a file" in inputs.file_problem(tmp_path)
    assert "a link to gone, which does not exist" in inputs.file_problem(tmp_path / "link")
    # Root can read every file.
    monkeypatch.setattr(inputs.os, "access", lambda *_: False)
    assert "cannot be read by the user" in inputs.file_problem(tmp_path / "file")


def test_deprecated_names_are_checked_and_reported(schema: InputSchema) -> None:
    assert schema.aliases["qinling_relay_port"] == "qinling_gateway_port"
    assert schema.variables["qinling_relay_port"] == schema.variables["qinling_gateway_port"]
    assert inputs.name_findings(["qinling_relay_port"], schema.names, "qinling") == ([], [])
    warnings = inputs.alias_warnings(schema.aliases, {"qinling_relay_port": 1, "qinling_api_port": 2})
    assert warnings == ["qinling_relay_port is now called qinling_gateway_port; rename it"]

# SPDX-License-Identifier: Apache-2.0
"""What an operator writes, held against what the roles say of themselves."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs, prechecks
from ansible_collections.qinling.kolla.plugins.plugin_utils._input.inputs import Knowledge

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return Knowledge.load(PROJECT / "roles", PROJECT / "group_vars/all")


def test_every_limit_is_of_a_variable_that_there_is(known: Knowledge) -> None:
    there: set[str] = {"kolla_container_engine"}
    for path in [*PROJECT.glob("roles/*/defaults/main.yml"), *PROJECT.glob("group_vars/all/*.yml")]:
        there |= set(inputs.key_lines(path.read_text())[0])
    for path in PROJECT.glob("roles/*/meta/input_rules.yml"):
        rules = inputs._mapping(path)
        assert not set(rules["variables"]) - there, path
        assert not {name for order in rules.get("ascending", []) for name in order} - there, path


def test_every_expectation_can_be_checked(known: Knowledge) -> None:
    values: dict[str, Any] = dict.fromkeys(known.variables, object())
    for findings in (
        prechecks.variable_findings(known.variables, values),
        prechecks.variable_findings(known.types(), values),
    ):
        assert not [finding for finding in findings if "the check itself" in finding.message]


def test_literal_defaults_are_sound(known: Knowledge) -> None:
    literal = {name: value for name, value in known.defaults.items() if "{{" not in str(value)}
    specs = {name: spec for name, spec in known.variables.items() if name in literal}
    assert prechecks.variable_findings(specs, literal) == []
    assert inputs.ascending_findings(known.ascending, literal) == []


def test_what_is_only_out_of_range_lets_templates_live(known: Knowledge) -> None:
    values = {"qinling_api_port": 70000, "qinling_orchestrator": "mesos", "qinling_public_endpoint": "nowhere"}
    assert len(prechecks.variable_findings(known.variables, values)) == 3
    assert prechecks.variable_findings(known.types(), values) == []
    assert prechecks.variable_findings(known.types(), {"qinling_api_port": "http"})


def test_names() -> None:
    findings, warnings = inputs.name_findings(
        ["qinling_api_port", "qinling_api_prot", "enable_qinlng", "nova_api_prot", "qinling_of_mine"],
        {"qinling_api_port", "nova_api_port"},
        "qinling",
    )
    assert [str(finding) for finding in findings] == [
        "qinling_api_prot: there is no variable of this name; did you mean qinling_api_port?"
    ]
    assert warnings == ["nothing reads the variables qinling_of_mine; are their names right?"]


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
def test_ascending(values: dict[str, Any], lines: int) -> None:
    assert len(inputs.ascending_findings([["low", "middle", "high"]], values)) == lines


HOSTS: dict[str, tuple[dict[str, tuple[str, str, str]], list[str]]] = {
    "apart": ({"a": ("ssh", "10.0.0.1", "22"), "b": ("ssh", "10.0.0.2", "22")}, []),
    "one address": ({"a": ("ssh", "10.0.0.1", "22"), "b": ("ssh", "10.0.0.1", "22")}, ["hosts a, b"]),
    "two ports of one address": ({"a": ("ssh", "10.0.0.1", "22"), "b": ("ssh", "10.0.0.1", "2222")}, []),
    "both local": ({"a": ("local", "a", "22"), "b": ("local", "b", "22")}, ["hosts a, b"]),
}


@pytest.mark.parametrize(("hosts", "places"), HOSTS.values(), ids=HOSTS)
def test_hosts(hosts: dict[str, tuple[str, str, str]], places: list[str]) -> None:
    assert [finding.where for finding in inputs.host_findings(hosts)] == places


def test_keys_and_those_that_are_there_twice() -> None:
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
        ("qinling.cnf", "qinling.cnf: nothing reads a file of this name; did you mean qinling.conf?"),
        ("qinling/qinling-engne.conf", "did you mean qinling/qinling-engine.conf?"),
        ("qinling/control1/qinling.conf", "qinling/control1: the inventory has no host control1; did you mean"),
        ("qinling/web/qinling.conf", "qinling/web: the inventory has no host web; its hosts are control01, control02"),
    ],
)
def test_wrong_names(tmp_path: Path, name: str, finding: str) -> None:
    (found,) = overrides(tmp_path, name)[0]
    assert finding in found


def test_what_nothing_reads_is_warned_of(tmp_path: Path) -> None:
    findings, warnings, _files = overrides(tmp_path, "qinling/notes.txt")
    assert (findings, warnings) == ([], ["qinling/notes.txt: nothing reads a file of this name"])


def test_no_folder_is_nothing_wrong(tmp_path: Path) -> None:
    assert overrides(tmp_path / "none") == ([], [], [])


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    (finding,) = inputs.override_findings(tmp_path / "config", OVERRIDES, [])[0]
    assert "expected a folder" in finding.message


def test_findings_get_their_line() -> None:
    findings = [inputs.Finding("a", 0, "is odd"), inputs.Finding("b", 0, "is odd")]
    assert [str(finding) for finding in inputs.placed(findings, "f", {"a": 3})] == ["f:3: a: is odd", "b: is odd"]


def test_what_keeps_a_file_from_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("gone")
    assert inputs.file_problem(tmp_path / "file") == inputs.file_problem(tmp_path / "none") == ""
    assert "a directory; expected a file" in inputs.file_problem(tmp_path)
    assert "a link to gone, which is not there" in inputs.file_problem(tmp_path / "link")
    # Root may read everything.
    monkeypatch.setattr(inputs.os, "access", lambda *_: False)
    assert "can not be read by the user" in inputs.file_problem(tmp_path / "file")

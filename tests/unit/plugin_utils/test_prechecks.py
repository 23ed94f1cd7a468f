# SPDX-License-Identifier: Apache-2.0
"""Findings about variables, groups, files and passwords."""

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import prechecks
from ansible_collections.qinling.kolla.plugins.plugin_utils._input.prechecks import Missing

RUNTIME = {"type": "dict", "options": {"name": "text", "image": "text"}}
GOOD: list[tuple[Any, Any]] = [
    ("bool", True),
    ("bool", "yes"),
    ("bool", "False"),
    ("bool", 0),
    ("int", 3),
    ("int", "-3"),
    ("float", "1.5"),
    ("port", 7070),
    ("port", "65535"),
    ("string", "x"),
    ("path", "/etc"),
    ("ip", "::1"),
    ("ip", "10.0.0.1"),
    ("url", "https://[::1]:6443/x"),
    ("list", [1]),
    ("text", 5),
    ("host", "db_1.example.org"),
    ("host", "fd00::1"),
    ("cidr", "10.0.0.0/8"),
    ("cidr", "fd00::/8"),
    ("ipv4_cidr", "10.0.0.0/8"),
    ("ipv4_cidr", "0.0.0.0/0"),
    ("ipv4_cidr", "172.29.0.1/32"),
    ("server", "[::1]:3306"),
    ({"type": "url", "schemes": ["https"]}, "https://h:1"),
    (RUNTIME, {"name": "x", "image": "y"}),
    ("dict", {"a": 1}),
    ("any", "x"),
    ({"type": "string", "empty": True}, ""),
    ({"type": "list", "empty": True}, []),
    ({"type": "string", "required": False}, Missing()),
    ({"type": "string", "choices": ["a", "b"]}, "b"),
    ({"type": "int", "min": 1, "max": 3}, "3"),
    ({"type": "string", "pattern": "[a-z]+"}, "abc"),
    ({"type": "list", "elements": "port"}, [1, "2"]),
]


@pytest.mark.parametrize(("spec", "value"), GOOD)
def test_good_values(spec: Any, value: Any) -> None:
    assert prechecks.variable_findings({"x": spec}, {"x": value}) == []


BAD: list[tuple[Any, Any, str]] = [
    ("bool", "maybe", "expected a boolean (yes or no), got the string 'maybe'"),
    ("bool", [], "expected a boolean"),
    ("int", "x", "expected an integer, got the string 'x'"),
    ("int", True, "got the boolean True"),
    ("int", 1.5, "got the number 1.5"),
    ("float", "x", "expected a number"),
    ("port", 0, "expected a port (1 to 65535), got the integer 0"),
    ("port", 65536, "expected a port"),
    ("port", "http", "expected a port"),
    ("string", 5, "expected a string, got the integer 5"),
    ("string", "", "is empty"),
    ("list", [], "is empty"),
    ("path", "etc", "expected an absolute path"),
    ("ip", "10.0.0.256", "expected an IP address"),
    ("url", "example.org", "expected a URL"),
    ("url", "http://h:port/", "expected a URL"),
    ("list", "a", "expected a list, got the string 'a'"),
    ("dict", ["a"], "expected a mapping, got the list"),
    ("string", Missing(), "is not set; expected a string"),
    ("string", None, "has no value"),
    ("string", Missing("'y' is undefined"), "cannot be evaluated: 'y' is undefined"),
    ({"type": "string", "choices": ["a", "b"]}, "c", "expected one of a, b, got the string 'c'"),
    ({"type": "int", "min": 1, "max": 3}, 4, "expected an integer, at least 1 and at most 3, got the integer 4"),
    ({"type": "string", "pattern": "[a-z]+"}, "abc1", "matches [a-z]+"),
    ({"type": "int", "min": 1}, 0, "expected an integer, at least 1, got the integer 0"),
    ({"type": "string", "pattern": "[a-z]+", "called": "a word"}, "1", "expected a word, got the string '1'"),
    ({"type": "list", "elements": "port"}, [1, "x"], "element 2: expected a port (1 to 65535), got the string 'x'"),
    ({"type": "list", "elements": {"type": "text", "choices": ["a"]}}, ["a", "b"], "element 2: expected one of a"),
    ({"type": "list", "elements": RUNTIME}, [{"name": "x"}], "element 1: image is missing; expected a string"),
    ({"type": "list", "elements": RUNTIME}, ["x"], "element 1: expected a mapping, got the string 'x'"),
    (RUNTIME, {"name": "x", "image": "y", "iamge": "z"}, "unknown keys: iamge; expected name, image"),
    ({"type": "list", "unique": "name"}, [{"name": "x"}, {"name": "x"}], "name 'x' is not unique"),
    ({"type": "string", "required": False}, None, "has no value; expected a string, or remove the line"),
    ("url", "http://fd00::1:7070", "an IPv6 address in brackets"),
    ("url", "http://a b/", "expected a URL"),
    ({"type": "url", "schemes": ["https"]}, "http://h", "expected a URL that begins with https://, got"),
    ("host", "http://h", "without scheme"),
    ("host", "h:80", "without scheme, port"),
    ("host", "[::1]", "brackets"),
    ("cidr", "10.0.0.0/33", "expected a network"),
    ("cidr", "10.0.0.1/8", "without host bits"),
    ("ipv4_cidr", "fd00::/8", "expected an IPv4 network (address/bits, without host bits), got the string 'fd00::/8'"),
    ("ipv4_cidr", "::ffff:10.0.0.0/104", "expected an IPv4 network"),
    ("ipv4_cidr", "10.0.0.0/33", "expected an IPv4 network"),
    ("ipv4_cidr", "10.0.0.1/8", "without host bits"),
    ("ipv4_cidr", "10.0.0.0", "expected an IPv4 network"),
    ("ipv4_cidr", "10.0.0.0/255.0.0.0", "expected an IPv4 network"),
    ("ipv4_cidr", "10.0.0.0/8\n", "expected an IPv4 network"),
    ("ipv4_cidr", 167772160, "expected an IPv4 network"),
    ("ipv4_cidr", ["10.0.0.0/8"], "expected an IPv4 network"),
    ("server", "::1:3306", "host:port"),
    ("text", ["x"], "expected a string, got the list"),
    ("word", "x", "unknown type"),
]


@pytest.mark.parametrize(("spec", "value", "words"), BAD)
def test_bad_values(spec: Any, value: Any, words: str) -> None:
    (finding,) = prechecks.variable_findings({"x": spec}, {"x": value})
    assert finding.where == "x"
    assert words in finding.message


def test_variable_with_secret_name_is_not_shown() -> None:
    (finding,) = prechecks.variable_findings({"db_password": "list"}, {"db_password": "hunter2"})
    assert str(finding) == "db_password: expected a list"


def test_every_variable_is_reported_at_once() -> None:
    findings = prechecks.variable_findings({"a": "int", "b": "port", "c": "int"}, {"a": "x", "c": 1})
    assert [finding.where for finding in findings] == ["a", "b"]


def test_missing_and_empty_groups_are_reported() -> None:
    groups = {"full": ["h1"], "empty": []}
    required = [
        {"group": "full", "service": "one"},
        {"group": "empty", "service": "two"},
        {"group": "absent", "service": "three"},
        {"group": "qinling-api", "service": "qinling"},
    ]
    assert [str(finding) for finding in prechecks.group_findings(required, groups)] == [
        "group empty: has no hosts, but two is enabled; add one to [empty]",
        "group absent: is not in the inventory, but three is enabled; add [absent]",
        "group qinling-api: is not in the inventory, but qinling is enabled; add [qinling-api], or add "
        "-i inventory/kolla/groups of this collection",
    ]


FILES = {
    "good ini": ("[A]\na = 1\n", "ini", []),
    "bad ini": ("[A]\na\n", "ini", [2]),
    "good yaml": ("a: !vault |\n  x\nb: !unsafe '{{'\n", "yaml", []),
    "bad yaml": ("a: b\nc: d: e\n", "yaml", [2]),
    "yaml of a list": ("- a\n", "yaml", [1]),
    "empty yaml": ("# nothing\n", "yaml", []),
    "good policy": ("a: role:x\n", "policy", []),
    "bad policy": ("a: role\n", "policy", [1]),
    "text": ("[", "text", []),
}


@pytest.mark.parametrize(("text", "kind", "lines"), FILES.values(), ids=FILES)
def test_files_are_checked_by_format(text: str, kind: str, lines: list[int]) -> None:
    findings = prechecks.file_findings(text, "f", kind)
    assert [(finding.where, finding.line) for finding in findings] == [("f", line) for line in lines]


PASSWORDS: dict[str, tuple[dict[str, Any] | None, list[str]]] = {
    "good": ({"a": "x", "b": prechecks.Vaulted("y"), "c": 12}, []),
    "no file": (None, ["f: the file with passwords is missing; HINT"]),
    "empty file": ({}, ["f: these passwords are missing: a, b, c; HINT"]),
    "some missing, some empty": (
        {"a": "", "b": None},
        ["f: these passwords are missing: c; HINT", "f: these passwords are empty: a, b; HINT"],
    ),
    "not a string": ({"a": ["x"], "b": "x", "c": "x"}, ["f: these passwords are not strings: a; quote them"]),
    "a template that fails": (
        {"a": prechecks.Missing("undefined"), "b": "x", "c": "x"},
        ["f: a cannot be evaluated: undefined"],
    ),
}


@pytest.mark.parametrize(("values", "expected"), PASSWORDS.values(), ids=PASSWORDS)
def test_passwords_are_checked(values: dict[str, Any] | None, expected: list[str]) -> None:
    findings = prechecks.password_findings(values, "f", ["a", "b", "c"], "HINT")
    assert [str(finding) for finding in findings] == expected


def test_variable_marked_as_secret_is_not_shown() -> None:
    (finding,) = prechecks.variable_findings({"auth": {"type": "dict", "secret": True}}, {"auth": ["hunter2"]})
    assert str(finding) == "auth: expected a mapping"

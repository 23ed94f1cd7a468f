# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that an operator writes, held against what the roles say of themselves.

Types and choices are those of the roles' argument_specs, which Ansible would check one role at a time. What those can
not say (ranges, addresses, an ascending order, files) stands in each role's meta/input_rules.yml.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import docker_types

# Ansible's names of types: what `prechecks` calls them.
_TYPES = {"str": "text", "path": "text", "int": "int", "float": "float", "bool": "bool", "list": "list", "dict": "dict"}
# Types of `prechecks` by what they are at least, which is enough for templates to be rendered.
_BARE = {
    **dict.fromkeys(("port", "int"), "like_int"),
    **dict.fromkeys(
        ("url", "host", "cidr", "ipv4_cidr", "server", "ip", "string", "name", "database_name", "database_user"), "text"
    ),
    **dict.fromkeys(docker_types.TYPES, "any"),
    **dict.fromkeys(("image", "repository", "tag", "docker_name", "volume", "size", "constraint"), "text"),
    **{name: shape["type"] for name, shape in docker_types.SHAPES.items()},
}
_NEAR = 0.8
_YAML_INTEGER = "tag:yaml.org,2002:int"
# The one in C, which Ansible takes too, is ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Knowledge:
    """What all roles together say of an operator's input."""

    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    global_defaults: dict[str, Any] = field(default_factory=dict)
    ascending: list[list[str]] = field(default_factory=list)
    overrides: list[dict[str, Any]] = field(default_factory=list)
    policy: dict[str, str] = field(default_factory=dict)
    # Variables that nothing can be expected of, and why.
    free_form: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, roles: Path, global_folder: Path) -> Knowledge:
        """Takes the folders of the roles and of the globals' defaults, returns what their files say."""
        known = cls()
        for path in sorted(global_folder.glob("*.yml")):
            known.global_defaults.update(_mapping(path))
        known.names |= set(known.global_defaults)
        for role in sorted(path for path in roles.iterdir() if path.is_dir()):
            specs = _mapping(role / "meta/argument_specs.yml").get("argument_specs") or {}
            for spec in specs.values():
                options = spec.get("options") or {}
                known.names |= set(options)
                # What roles hand to these two is not an operator's input.
                if role.name not in {"service", "site"}:
                    # What is required of them is what a role hands to another.
                    known.variables.update(
                        {name: {**expectation(option), "required": False} for name, option in options.items()}
                    )
            defaults = _mapping(role / "defaults/main.yml")
            known.names |= set(defaults)
            known.defaults.update(defaults)
            rules = _mapping(role / "meta/input_rules.yml")
            known.policy.update(_mapping(role / "files/policy.yaml"))
            known.names |= set(rules.get("names") or []) | set(rules.get("variables") or {})
            known.ascending += rules.get("ascending") or []
            known.overrides += rules.get("overrides") or []
            known.free_form.update(rules.get("free_form") or {})
            for name, limits in (rules.get("variables") or {}).items():
                own = {"required": False, "empty": True, **known.variables.get(name, {})}
                known.variables[name] = _merged(own, limits)
        return known

    def given(self, variables: Mapping[str, Any]) -> list[str]:
        """Return the names of the variables whose values are to be checked.

        Left out is what has the collection's own default in `variables` (as they are written, not evaluated): the
        default of a role, where the play has it, and a global with `only_given`, which is made of passwords or of
        other hosts' facts.
        """
        return [
            name
            for name, spec in self.variables.items()
            if name in variables
            and not (name in self.defaults and variables[name] == self.defaults[name])
            and not (spec.get("only_given") and variables[name] == self.global_defaults.get(name))
        ]

    def types(self) -> dict[str, dict[str, Any]]:
        """Returns the variables' expectations without what a template gets along with: choices, ranges, addresses."""
        return {name: _bare(spec) for name, spec in self.variables.items()}


def _bare(spec: Mapping[str, Any] | str) -> dict[str, Any]:
    spec = {"type": spec} if isinstance(spec, str) else spec
    kind = str(spec.get("type", "any"))
    bare = {"type": _BARE.get(kind, kind), "required": spec.get("required", True), "empty": True}
    if isinstance(spec.get("elements"), Mapping):
        bare["elements"] = _bare(spec["elements"])
    if spec.get("options"):
        bare["options"] = {name: _bare(part) for name, part in spec["options"].items()}
    return bare


def _merged(expected: Mapping[str, Any], more: Any) -> dict[str, Any]:
    """Return an expectation with what `more`, a mapping or the name of a type, adds to it or replaces."""
    merged = dict(expected)
    for key, value in ({"type": more} if isinstance(more, str) else more).items():
        nested = key in {"elements", "options"} or isinstance(expected.get(key), Mapping)
        merged[key] = _merged(expected.get(key) or {}, value) if nested else value
    return merged


def _mapping(path: Path) -> dict[str, Any]:
    return (yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER) or {}) if path.is_file() else {}  # noqa: S506


def expectation(option: Mapping[str, Any]) -> dict[str, Any]:
    """Takes an option of an argument_spec, returns what `prechecks.variable_findings` is to expect of a value."""
    wanted: dict[str, Any] = {
        "type": _TYPES.get(str(option.get("type", "str")), "any"),
        "required": bool(option.get("required", False)),
        "empty": True,
        "secret": bool(option.get("no_log", False)),
    }
    choices = option.get("choices")
    if option.get("elements"):
        wanted["elements"] = {"type": _TYPES.get(option["elements"], "any"), "empty": False}
        if choices:
            wanted["elements"]["choices"] = choices
        if option.get("options"):
            wanted["elements"]["options"] = {name: expectation(part) for name, part in option["options"].items()}
    else:
        if choices:
            wanted["choices"] = choices
        if option.get("options"):
            wanted["options"] = {name: expectation(part) for name, part in option["options"].items()}
    return wanted


def key_lines(text: str) -> tuple[dict[str, int], list[tuple[str, int, int]]]:
    """Takes a YAML text, returns its uppermost keys with their lines, and each that is given twice with both lines."""
    lines: dict[str, int] = {}
    twice = []
    try:
        node = yaml.compose(text, _LOADER)
    except yaml.YAMLError:
        return {}, []
    for key, _value in node.value if isinstance(node, yaml.MappingNode) else []:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            twice.append((name, lines[name], line))
        lines[name] = line
    return lines, twice


def number_findings(text: str, source: str, specs: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Return the integers of a YAML text that YAML does not read as plain decimal numbers.

    YAML 1.1 reads 07070 as octal and 6:07:50 in base 60, and drops underscores. `specs` are the expectations by
    variable: only where an integer is expected does its spelling matter.
    """
    try:
        node = yaml.compose(text, _LOADER)
    except yaml.YAMLError:
        return []
    found = []
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if specs.get(str(key.value), {}).get("type") not in {"int", "port", "float"} or value.tag != _YAML_INTEGER:
            continue
        if not re.fullmatch(r"[+-]?(0|[1-9][0-9]*)", value.value):
            number = yaml.load(value.value, Loader=_LOADER)  # noqa: S506 - one plain integer
            message = (
                f"{key.value}: YAML reads {value.value} as {number}; expected a plain decimal number; write {number}"
            )
            found.append(Finding(source, key.start_mark.line + 1, f"{message}, or the number that is meant"))
    return found


def unusual_warnings(specs: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> list[str]:
    """Return a warning for each variable with a value that is possible, but not `usual` by its expectation.

    The expectation's `unusual` says what another value means.
    """
    return [
        f"{name}: {values[name]} is not one of {', '.join(spec['usual'])}: {spec['unusual']}"
        for name, spec in specs.items()
        if isinstance(values.get(name), str) and "usual" in spec and values[name] not in spec["usual"]
    ]


def twice_findings(text: str, source: str) -> list[Finding]:
    """Takes a YAML text and its name, returns the keys that it has twice: YAML takes the last and says nothing."""
    return [
        Finding(source, line, f"{name} is given twice, in line {first} as well; remove one")
        for name, first, line in key_lines(text)[1]
    ]


def name_findings(names: Iterable[str], known: Iterable[str], prefix: str) -> tuple[list[Finding], list[str]]:
    """Takes names of variables, those that there are, and the prefix of the collection's own.

    Returns those that are almost a known one, and a warning of the others that nothing reads.
    """
    there = sorted(known)
    findings, odd = [], []
    for name in names:
        if prefix not in name or name in there:
            continue
        near = difflib.get_close_matches(name, there, 1, _NEAR)
        if near:
            findings.append(Finding(name, 0, f"there is no variable of this name; did you mean {near[0]}?"))
        else:
            odd.append(name)
    return findings, [f"nothing reads the variables {', '.join(odd)}; are their names right?"] if odd else []


def ascending_findings(orders: Iterable[list[str]], values: Mapping[str, Any]) -> list[Finding]:
    """Takes lists of variables that have to ascend, and values; returns which do not. What is no number passes."""
    findings = []
    for order in orders:
        numbers = []
        for name in order:
            try:
                numbers.append((name, float(values[name])))
            except (KeyError, TypeError, ValueError):
                continue
        for (low, least), (high, most) in itertools.pairwise(numbers):
            if least > most:
                findings.append(
                    Finding(low, 0, f"{low} is {least:.15g} and {high} is {most:.15g}; expected {' ≤ '.join(order)}")
                )
    return findings


def host_findings(hosts: Mapping[str, tuple[str, str, str]]) -> list[Finding]:
    """Takes hosts with connection, address and port, returns which of them are the same machine under two names."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for name, (connection, address, port) in hosts.items():
        place = ("local", "", "") if connection == "local" else (connection, address, port)
        places.setdefault(place, []).append(name)
    return [
        Finding(
            f"hosts {', '.join(names)}",
            0,
            f"are one machine ({place[1] or 'this one, by a local connection'}) under {len(names)} names, and would "
            "overwrite each other's containers; keep one of them in the inventory",
        )
        for place, names in places.items()
        if len(names) > 1
    ]


def file_problem(path: Path) -> str:
    """Takes a path at which a file may be, returns why it can not be read as one, or nothing."""
    if path.is_symlink() and not path.exists():
        return f"is a link to {os.readlink(path)}, which is not there; remove it or put that file there"  # noqa: PTH115
    if path.exists() and not path.is_file():
        return "is a directory; expected a file" if path.is_dir() else "is no regular file"
    if path.is_file() and not os.access(path, os.R_OK):
        return "can not be read by the user who runs Ansible; change its owner or mode"
    return ""


def override_findings(
    folder: Path, overrides: Iterable[Mapping[str, Any]], hosts: Iterable[str]
) -> tuple[list[Finding], list[str], list[tuple[Path, str]]]:
    """Takes the operator's folder of overrides, what may be in it, and the inventory's hosts.

    Returns what is wrong, warnings of what nothing reads, and the files that are there with their formats. An override
    is a path, in which <host> stands for a host's name, and a format. In folders of one's own, of which a whole path
    is known, every other file is told; beside them only names that are almost right, as others keep files there.
    """
    names = sorted(hosts)
    formats = {
        str(item["path"]).replace("<host>", host): str(item.get("format", "text"))
        for item in overrides
        for host in (names if "<host>" in str(item["path"]) else [""])
    }
    findings, warnings, there = [], [], []
    if folder.exists() and not folder.is_dir():
        return [Finding(str(folder), 0, "is a file; expected a folder")], [], []
    for relative, kind in formats.items():
        path = folder / relative
        if problem := file_problem(path):
            findings.append(Finding(str(path), 0, problem))
        elif path.is_file():
            there.append((path, kind))
    own = {Path(str(item["path"])).parts[0] for item in overrides if "<host>" in str(item["path"])}
    known = [*formats, *(str(parent) for path in formats for parent in Path(path).parents)]
    for path in _listing(folder, own):
        relative = str(path.relative_to(folder))
        if relative in known:
            continue
        inside = path.relative_to(folder).parts[0] in own and len(path.relative_to(folder).parts) > 1
        near = difflib.get_close_matches(relative, formats, 1, _NEAR if inside else 0.88)
        hint = f"; did you mean {near[0]}?" if near else ""
        if inside and path.is_dir():
            close = difflib.get_close_matches(path.name, names, 1, 0.6)
            hint = f"; did you mean {close[0]}?" if close else f"; its hosts are {', '.join(names[:8])}"
            findings.append(Finding(str(path), 0, f"the inventory has no host {path.name}{hint}"))
        elif near:
            findings.append(Finding(str(path), 0, f"nothing reads a file of this name{hint}"))
        elif inside:
            warnings.append(f"{path}: nothing reads a file of this name")
    return findings, warnings, there


def _listing(folder: Path, own: Iterable[str]) -> list[Path]:
    """Takes a folder and its subfolders of one's own, returns what is in it and in those, without what lies deeper."""
    if not folder.is_dir():
        return []
    upper = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inner = [
        path
        for name in sorted(own)
        if (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
        if not path.name.startswith(".")
    ]
    return upper + inner


def placed(findings: Iterable[Finding], source: str, lines: Mapping[str, int]) -> list[Finding]:
    """Takes findings about variables, a file and its keys' lines; returns them with file and line where known."""
    return [
        Finding(source, lines[finding.where], f"{finding.where}: {finding.message}")
        if finding.where in lines
        else finding
        for finding in findings
    ]

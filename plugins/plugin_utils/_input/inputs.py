# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Validate an operator's input against the roles' specifications.

Types and choices come from the roles' argument_specs, which Ansible would validate one role at a time. Rules that
argument_specs cannot express (ranges, addresses, an ascending order, files) are in each role's meta/input_rules.yml.
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

# The type names of `prechecks` by Ansible's.
_TYPES = {"str": "text", "path": "text", "int": "int", "float": "float", "bool": "bool", "list": "list", "dict": "dict"}
# The weaker types that suffice to render templates, by type of `prechecks`.
_BARE = {
    **dict.fromkeys(("port", "int"), "like_int"),
    **dict.fromkeys(
        ("url", "host", "cidr", "ipv4_cidr", "server", "ip", "string", "name", "database_name", "database_user"), "text"
    ),
    **dict.fromkeys(docker_types.TYPES, "any"),
    **dict.fromkeys(("image", "repository", "tag", "docker_name", "volume", "size", "constraint"), "text"),
    **{name: shape["type"] for name, shape in docker_types.SHAPES.items()},
}
_SIMILARITY = 0.8
_YAML_INTEGER = "tag:yaml.org,2002:int"
# The C implementation, which Ansible uses as well, is ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class InputSchema:
    """The specifications of an operator's input, from all roles."""

    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    global_defaults: dict[str, Any] = field(default_factory=dict)
    ascending: list[list[str]] = field(default_factory=list)
    overrides: list[dict[str, Any]] = field(default_factory=list)
    policy: dict[str, str] = field(default_factory=dict)
    # Variables without any expectation, and the reason.
    free_form: dict[str, str] = field(default_factory=dict)
    # Current names of variables by deprecated name.
    aliases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, roles: Path, global_folder: Path) -> InputSchema:
        """Return the schema from the directories of the roles and of the globals' defaults."""
        schema = cls()
        for path in sorted(global_folder.glob("*.yml")):
            schema.global_defaults.update(_mapping(path))
        schema.names |= set(schema.global_defaults)
        for role in sorted(path for path in roles.iterdir() if path.is_dir()):
            specs = _mapping(role / "meta/argument_specs.yml").get("argument_specs") or {}
            for spec in specs.values():
                options = spec.get("options") or {}
                schema.names |= set(options)
                # Other roles set the options of these two, not the operator.
                if role.name not in {"service", "site"}:
                    # Required options are set by other roles.
                    schema.variables.update(
                        {name: {**expectation(option), "required": False} for name, option in options.items()}
                    )
            defaults = _mapping(role / "defaults/main.yml")
            schema.names |= set(defaults)
            schema.defaults.update(defaults)
            rules = _mapping(role / "meta/input_rules.yml")
            schema.policy.update(_mapping(role / "files/policy.yaml"))
            schema.names |= set(rules.get("names") or []) | set(rules.get("variables") or {})
            schema.ascending += rules.get("ascending") or []
            schema.overrides += rules.get("overrides") or []
            schema.free_form.update(rules.get("free_form") or {})
            for name, limits in (rules.get("variables") or {}).items():
                base = {"required": False, "empty": True, **schema.variables.get(name, {})}
                schema.variables[name] = _merged(base, limits)
        schema.aliases = _mapping(roles / "settings/meta/renamed_variables.yml")
        schema.names |= set(schema.aliases)
        schema.variables.update({alias: schema.variables[name] for alias, name in schema.aliases.items()})
        return schema

    def given(self, variables: Mapping[str, Any]) -> list[str]:
        """Return the names of the variables whose values are to be checked.

        Variables with the collection's own default in `variables` (unevaluated) are skipped: role defaults, and
        globals with `only_given`, whose defaults depend on passwords or on facts of other hosts.
        """
        return [
            name
            for name, spec in self.variables.items()
            if name in variables
            and not (name in self.defaults and variables[name] == self.defaults[name])
            and not (spec.get("only_given") and variables[name] == self.global_defaults.get(name))
        ]

    def types(self) -> dict[str, dict[str, Any]]:
        """Return the expectations that templates need: without choices, ranges and address formats."""
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
    """Return an expectation updated recursively with `more`, a mapping or the name of a type."""
    merged = dict(expected)
    for key, value in ({"type": more} if isinstance(more, str) else more).items():
        nested = key in {"elements", "options"} or isinstance(expected.get(key), Mapping)
        merged[key] = _merged(expected.get(key) or {}, value) if nested else value
    return merged


def _mapping(path: Path) -> dict[str, Any]:
    return (yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER) or {}) if path.is_file() else {}  # noqa: S506


def expectation(option: Mapping[str, Any]) -> dict[str, Any]:
    """Return the expectation of `prechecks.variable_findings` for an option of an argument_spec."""
    expected: dict[str, Any] = {
        "type": _TYPES.get(str(option.get("type", "str")), "any"),
        "required": bool(option.get("required", False)),
        "empty": True,
        "secret": bool(option.get("no_log", False)),
    }
    choices = option.get("choices")
    if option.get("elements"):
        expected["elements"] = {"type": _TYPES.get(option["elements"], "any"), "empty": False}
        if choices:
            expected["elements"]["choices"] = choices
        if option.get("options"):
            expected["elements"]["options"] = {name: expectation(part) for name, part in option["options"].items()}
    else:
        if choices:
            expected["choices"] = choices
        if option.get("options"):
            expected["options"] = {name: expectation(part) for name, part in option["options"].items()}
    return expected


def key_lines(text: str) -> tuple[dict[str, int], list[tuple[str, int, int]]]:
    """Return the top-level keys of a YAML text with their lines, and the duplicate keys with both lines."""
    lines: dict[str, int] = {}
    duplicates = []
    try:
        node = yaml.compose(text, _LOADER)
    except yaml.YAMLError:
        return {}, []
    for key, _value in node.value if isinstance(node, yaml.MappingNode) else []:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            duplicates.append((name, lines[name], line))
        lines[name] = line
    return lines, duplicates


def number_findings(text: str, source: str, specs: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Return findings about integers that YAML does not read as plain decimal numbers.

    YAML 1.1 reads 07070 as octal and 6:07:50 in base 60, and drops underscores. Only variables for which `specs`
    expects a number are checked.
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
            found.append(Finding(source, key.start_mark.line + 1, f"{message}, or the intended number"))
    return found


def unusual_warnings(specs: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> list[str]:
    """Return a warning for each variable with a valid value that is not in `usual` of its expectation.

    The expectation's `unusual` describes the effect of other values.
    """
    return [
        f"{name}: {values[name]} is not one of {', '.join(spec['usual'])}: {spec['unusual']}"
        for name, spec in specs.items()
        if isinstance(values.get(name), str) and "usual" in spec and values[name] not in spec["usual"]
    ]


def alias_warnings(aliases: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return a warning for each deprecated name in `names`; `aliases` has the current names by deprecated name."""
    used = set(names)
    return [f"{old} is now called {new}; rename it" for old, new in aliases.items() if old in used]


def duplicate_key_findings(text: str, source: str) -> list[Finding]:
    """Return findings about the duplicate keys of a YAML text, of which YAML silently uses the last."""
    return [
        Finding(source, line, f"{name} is a duplicate of line {first}; remove one")
        for name, first, line in key_lines(text)[1]
    ]


def name_findings(names: Iterable[str], known: Iterable[str], prefix: str) -> tuple[list[Finding], list[str]]:
    """Return findings about names that are similar to a known one, and a warning with the other unknown names.

    Names without `prefix` are ignored.
    """
    known_names = sorted(known)
    findings, unknown = [], []
    for name in names:
        if prefix not in name or name in known_names:
            continue
        similar = difflib.get_close_matches(name, known_names, 1, _SIMILARITY)
        if similar:
            findings.append(Finding(name, 0, f"unknown variable; did you mean {similar[0]}?"))
        else:
            unknown.append(name)
    return findings, [f"unused variables: {', '.join(unknown)}; check their names"] if unknown else []


def ascending_findings(orders: Iterable[list[str]], values: Mapping[str, Any]) -> list[Finding]:
    """Return findings about the lists of variables in `orders` whose values do not ascend; non-numbers are ignored."""
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
    """Return findings about hosts that are the same machine under several names.

    `hosts` has the connection, address and port of each host.
    """
    machines: dict[tuple[str, str, str], list[str]] = {}
    for name, (connection, address, port) in hosts.items():
        machine = ("local", "", "") if connection == "local" else (connection, address, port)
        machines.setdefault(machine, []).append(name)
    return [
        Finding(
            f"hosts {', '.join(names)}",
            0,
            f"are the same machine ({machine[1] or 'this one, by a local connection'}) under {len(names)} names, and "
            "would overwrite each other's containers; keep one of them in the inventory",
        )
        for machine, names in machines.items()
        if len(names) > 1
    ]


def file_problem(path: Path) -> str:
    """Return why a path cannot be read as a file, or an empty string; a missing file is not a problem."""
    if path.is_symlink() and not path.exists():
        return f"is a link to {os.readlink(path)}, which does not exist; remove the link or create the file"  # noqa: PTH115
    if path.exists() and not path.is_file():
        return "is a directory; expected a file" if path.is_dir() else "is not a regular file"
    if path.is_file() and not os.access(path, os.R_OK):
        return "cannot be read by the user who runs Ansible; change its owner or mode"
    return ""


def override_findings(
    folder: Path, overrides: Iterable[Mapping[str, Any]], hosts: Iterable[str]
) -> tuple[list[Finding], list[str], list[tuple[Path, str]]]:
    """Return findings about the operator's directory of overrides, warnings about unused files, and the used files.

    An override is a path, in which <host> stands for a host name, and a format. In the collection's own directories,
    every unknown file is reported; elsewhere only names similar to a known one, as other projects store files there.
    """
    names = sorted(hosts)
    formats = {
        str(item["path"]).replace("<host>", host): str(item.get("format", "text"))
        for item in overrides
        for host in (names if "<host>" in str(item["path"]) else [""])
    }
    findings, warnings, existing = [], [], []
    if folder.exists() and not folder.is_dir():
        return [Finding(str(folder), 0, "is a file; expected a directory")], [], []
    for relative, kind in formats.items():
        path = folder / relative
        if problem := file_problem(path):
            findings.append(Finding(str(path), 0, problem))
        elif path.is_file():
            existing.append((path, kind))
    own = {Path(str(item["path"])).parts[0] for item in overrides if "<host>" in str(item["path"])}
    known = [*formats, *(str(parent) for path in formats for parent in Path(path).parents)]
    for path in _listing(folder, own):
        relative = str(path.relative_to(folder))
        if relative in known:
            continue
        inside = path.relative_to(folder).parts[0] in own and len(path.relative_to(folder).parts) > 1
        similar = difflib.get_close_matches(relative, formats, 1, _SIMILARITY if inside else 0.88)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        if inside and path.is_dir():
            similar = difflib.get_close_matches(path.name, names, 1, 0.6)
            hint = f"; did you mean {similar[0]}?" if similar else f"; its hosts are {', '.join(names[:8])}"
            findings.append(Finding(str(path), 0, f"the inventory has no host {path.name}{hint}"))
        elif similar:
            findings.append(Finding(str(path), 0, f"unused file{hint}"))
        elif inside:
            warnings.append(f"{path}: unused file; check its name")
    return findings, warnings, existing


def _listing(folder: Path, own: Iterable[str]) -> list[Path]:
    """Return the entries of a directory and of its subdirectories `own`, without deeper levels and hidden entries."""
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


def with_location(findings: Iterable[Finding], source: str, lines: Mapping[str, int]) -> list[Finding]:
    """Return findings about variables with the file `source` and the variable's line where `lines` has it."""
    return [
        Finding(source, lines[finding.where], f"{finding.where}: {finding.message}")
        if finding.where in lines
        else finding
        for finding in findings
    ]

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of variables, inventory and files on the controller, before anything is changed.

ansible-core's ArgumentSpecValidator does not suffice for types: it converts values (a string counts as a list, a list
as a string, 5_12 as 512), does not report which element of a list is invalid, and quotes values even with no_log.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from ansible.module_utils.parsing.convert_bool import BOOLEANS
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import is_secret_name
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini, policy
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import docker_types, inputs

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_UNFIT = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Python's int() and float() also accept 5_12 and the digits of other scripts, unlike the services' own parsers.
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Missing:
    """A variable without a value; `reason` is set if its value cannot be evaluated."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason


def _is_number(value: Any, pattern: re.Pattern[str]) -> bool:
    return not isinstance(value, bool) and bool(pattern.fullmatch(str(value).strip()))


def _is_python_integer(value: Any) -> bool:
    """Return whether Jinja's filter int accepts a value, including unusual notations."""
    try:
        int(str(value).strip())
    except ValueError:
        return False
    return not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_line(value: Any) -> bool:
    """Return whether a value is one line of text; YAML's folded style leaves a line break at its end."""
    return _is_text(value) and not _CONTROL.search(str(value).rstrip("\n"))


def _is_ip(value: Any) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return True


def _is_host(value: Any) -> bool:
    """Return whether a value is a host name or an address without scheme, port and brackets."""
    return isinstance(value, str) and (_is_ip(value) or bool(_HOST.fullmatch(value)))


def _is_cidr(value: Any) -> bool:
    try:
        ipaddress.ip_network(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _is_ipv4_cidr(value: Any) -> bool:
    """Return whether a value is an IPv4 network as address/bits; ip_network() also accepts bare addresses and masks."""
    return _is_cidr(value) and bool(re.fullmatch(r"[0-9.]+/[0-9]{1,2}", value))


def _is_server(value: Any) -> bool:
    """Return whether a value is host:port, with an IPv6 address in brackets."""
    return isinstance(value, str) and "/" not in value and "@" not in value and _is_url(f"x://{value}")


def _is_url(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        # Reading the port raises ValueError if it is not a number.
        return bool(parts and parts.scheme and parts.hostname and parts.port != 0 and not re.search(r"\s", value))
    except ValueError:
        return False


# By name of the type: its description in messages, and the predicate for its values.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "any": ("a value", lambda value: True),
    "bool": ("a boolean (yes or no)", lambda value: str(value).lower() in BOOLEANS),
    "int": ("an integer", lambda value: _is_number(value, _INTEGER)),
    "like_int": ("an integer", _is_python_integer),
    "float": ("a number", lambda value: _is_number(value, _FLOAT)),
    "port": ("a port (1 to 65535)", lambda value: _is_number(value, _INTEGER) and 1 <= int(value) <= 65535),
    "string": ("a string", lambda value: isinstance(value, str)),
    "text": ("a string", _is_text),
    "name": (
        "a name of at most 255 characters, without blanks at its ends",
        lambda value: _is_line(value) and bool(re.fullmatch(r"\S(.{0,253}\S)?", str(value))),
    ),
    # Used in the URL of the connection without encoding.
    "database_name": (
        "a database's name (at most 64 letters, digits, _, $ and -)",
        docker_types.matches(r"[A-Za-z0-9_$-]{1,64}"),
    ),
    "database_user": (
        "a database user's name (at most 80 letters, digits, _, . and -)",
        docker_types.matches(r"[A-Za-z0-9_.-]{1,80}"),
    ),
    "host": ("a host's name or address, without scheme, port or brackets", _is_host),
    "cidr": ("a network (address/bits, without host bits)", _is_cidr),
    "ipv4_cidr": ("an IPv4 network (address/bits, without host bits)", _is_ipv4_cidr),
    "server": ("host:port, an IPv6 address in brackets", _is_server),
    "path": ("an absolute path", lambda value: isinstance(value, str) and value.startswith("/")),
    "ip": ("an IP address", _is_ip),
    "url": ("a URL (scheme://host, an IPv6 address in brackets)", _is_url),
    "list": ("a list", lambda value: isinstance(value, list | tuple)),
    "dict": ("a mapping", lambda value: isinstance(value, Mapping)),
    **docker_types.TYPES,
}


def variable_findings(specs: Mapping[str, Any], values: Mapping[str, Any]) -> list[Finding]:
    """Return findings about the values (or Missing) of variables that do not meet the expectations in `specs`.

    An expectation is the name of a type, or a mapping of type, required (default true), empty (whether an empty string,
    list or mapping is valid, default false), choices, min, max, pattern, schemes (of a URL), elements (the expectation
    of a list's elements), unique (the key by which a list's mappings differ), options (the expectations of a mapping's
    values by key), keys and values (the expectations of all keys and values of a mapping) and secret (do not show it).
    """
    findings = []
    for name, short in specs.items():
        spec = _full(short)
        findings += [
            Finding(name, 0, problem) for problem in _problems(name, spec, values.get(name, Missing()), "is not set")
        ]
    return findings


def _full(spec: Any) -> dict[str, Any]:
    """Return an expectation as a mapping, with the name of a shape resolved."""
    full = {"type": spec} if isinstance(spec, str) else dict(spec or {})
    shape = docker_types.SHAPES.get(full.get("type", "any"))
    return {**full, **shape} if shape else full


def _problems(name: str, spec: Mapping[str, Any], value: Any, absent: str) -> list[str]:
    """Return the problems of a value and of its nested values; `absent` describes a missing value."""
    kind = spec.get("type", "any")
    if kind not in _TYPES:
        return [f"the rule has the unknown type {kind}; expected one of {', '.join(_TYPES)}"]
    called, fits = _TYPES[kind]
    if isinstance(value, Missing) or value is None:
        if isinstance(value, Missing) and value.reason:
            return [f"cannot be evaluated: {value.reason}"]
        if value is None and not spec.get("required", True):
            return [f"has no value; expected {called}, or remove the line"] if kind != "any" else []
        state = "has no value" if value is None else absent
        return [f"{state}; expected {called}"] if spec.get("required", True) else []
    if value in ("", [], {}) and kind not in {"bool", "any", "int", "float", "port"}:
        return [] if spec.get("empty", False) else [f"is empty; expected {called}"]
    shown = "" if spec.get("secret") or is_secret_name(name) else f", got {_shown(value)}"
    if not fits(value):
        return [f"expected {called}{shown}"]
    problem = _limit_problem(spec, kind, called, value, shown)
    if problem:
        return [problem]
    if kind == "list":
        return _list_problems(name, spec, value)
    return _option_problems(spec.get("options") or {}, value) + _entry_problems(spec, value)


def _limit_problem(spec: Mapping[str, Any], kind: str, called: str, value: Any, shown: str) -> str:
    choices = spec.get("choices")
    if choices and str(value) not in {str(choice) for choice in choices}:
        return f"expected one of {', '.join(map(str, choices))}{shown}"
    if kind == "text" and not _is_line(value):
        return f"expected {called} of one line{shown}"
    if kind in {"int", "float", "port"} and not spec.get("min", float(value)) <= float(value) <= spec.get(
        "max", float(value)
    ):
        limits = [f"{word} {spec[key]}" for key, word in (("min", "at least"), ("max", "at most")) if key in spec]
        return f"expected {called}, {' and '.join(limits)}{shown}"
    if "schemes" in spec and urlsplit(value).scheme not in spec["schemes"]:
        return f"expected a URL that begins with {' or '.join(f'{scheme}://' for scheme in spec['schemes'])}{shown}"
    if "pattern" in spec and not re.fullmatch(str(spec["pattern"]), str(value)):
        return f"expected {spec.get('called', f'{called} that matches ' + str(spec['pattern']))}{shown}"
    return ""


def _list_problems(name: str, spec: Mapping[str, Any], value: list[Any]) -> list[str]:
    elements = _full(spec.get("elements", "any"))
    found = []
    for number, item in enumerate(value, start=1):
        found += [f"element {number}: {problem}" for problem in _problems(name, elements, item, "is missing")]
    key = spec.get("unique")
    seen: list[Any] = [item.get(key) for item in value if isinstance(item, Mapping)] if key else []
    found += [
        f"{key} {item!r} is not unique"
        for item in dict.fromkeys(filter(None, map(str, seen)))
        if list(map(str, seen)).count(item) > 1
    ]
    return found


def _option_problems(options: Mapping[str, Any], value: Any) -> list[str]:
    if not options or not isinstance(value, Mapping):
        return []
    found = []
    for name, short in options.items():
        spec = _full(short)
        found += [f"{name} {problem}" for problem in _problems(name, spec, value.get(name, Missing()), "is missing")]
    unknown = sorted(str(key) for key in value if key not in options)
    if unknown:
        found.append(f"unknown keys: {', '.join(unknown)}; expected {', '.join(options)}")
    return found


def _entry_problems(spec: Mapping[str, Any], value: Any) -> list[str]:
    """Return the problems of a mapping's keys and values by the expectations `keys` and `values`."""
    found = []
    for key, item in value.items() if isinstance(value, Mapping) else ():
        if "keys" in spec:
            found += [f"key {problem}" for problem in _problems(str(key), _full(spec["keys"]), key, "")]
        if "values" in spec:
            found += [f"{key} {problem}" for problem in _problems(str(key), _full(spec["values"]), item, "")]
    return found


def _shown(value: Any) -> str:
    kinds = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (Mapping, "mapping"))
    kind = next((name for type_, name in kinds if isinstance(value, type_)), "list")
    text = str(value) if len(str(value)) <= 60 else f"{str(value)[:57]}..."
    return f"the {kind} {text!r}" if isinstance(value, str) else f"the {kind} {text}"


def group_findings(required: Iterable[Mapping[str, Any]], groups: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Return findings about `required` groups (``{group, service}``) that are missing or empty in the inventory."""
    findings = []
    for item in required:
        group, service = item["group"], item["service"]
        # Kolla's inventories no longer have these groups.
        more = ", or add -i inventory/kolla/groups of this collection" if group.startswith("qinling") else ""
        if group not in groups:
            findings.append(
                Finding(f"group {group}", 0, f"is not in the inventory, but {service} is enabled; add [{group}]{more}")
            )
        elif not list(groups[group]):
            findings.append(
                Finding(f"group {group}", 0, f"has no hosts, but {service} is enabled; add one to [{group}]")
            )
    return findings


class _Loader(yaml.SafeLoader):
    """A YAML loader that supports Ansible's tags."""


class Vaulted(str):
    """The ciphertext of a value encrypted with ansible-vault."""


_Loader.add_constructor("!vault", lambda loader, node: Vaulted(node.value))
_Loader.add_constructor("!unsafe", lambda loader, node: str(node.value))


def load_yaml(text: str, source: str) -> tuple[Any, list[Finding]]:
    """Return the data of a YAML text, and findings about its syntax."""
    try:
        return yaml.load(text, Loader=_Loader), []  # noqa: S506 - a SafeLoader with two more tags
    except yaml.YAMLError as error:
        return None, [policy.yaml_finding(error, source)]


def file_findings(text: str, source: str, kind: str) -> list[Finding]:
    """Return findings about the syntax of a file; `text` is rendered, `kind` is its format."""
    text = text.removeprefix("\ufeff")
    if kind == "ini":
        return ini.parse(text, source)[1]
    if kind == "policy":
        return policy.load(text, source)[1]
    if kind == "yaml":
        data, findings = load_yaml(text, source)
        if not findings and data is not None and not isinstance(data, Mapping):
            findings = [Finding(source, 1, "expected a mapping of names to values")]
        return findings or inputs.duplicate_key_findings(text, source)
    return []


def password_findings(values: Mapping[str, Any] | None, source: str, names: Iterable[str], hint: str) -> list[Finding]:
    """Return findings about the required passwords `names`.

    `values` is None if the file `source` is missing; `hint` describes the remedy.
    """
    required = list(dict.fromkeys(names))
    if values is None:
        return [Finding(source, 0, f"the file with passwords is missing; {hint}")] if required else []
    given = {name: values[name] for name in required if name in values and values[name] not in (None, "")}
    failed = {name: value.reason for name, value in given.items() if isinstance(value, Missing)}
    problems = (
        ("missing", [name for name in required if name not in values], hint),
        ("empty", [name for name in required if name in values and name not in given], hint),
        ("not strings", [name for name, value in given.items() if not _is_password(value)], "quote them"),
        (
            "not valid in a configuration file (a line break, a control character, or a blank at an end)",
            [
                name
                for name, value in given.items()
                if isinstance(value, str) and not isinstance(value, Vaulted) and _UNFIT.search(value)
            ],
            "change them",
        ),
    )
    found = [
        Finding(source, 0, f"these passwords are {problem}: {', '.join(affected)}; {remedy}")
        for problem, affected, remedy in problems
        if affected
    ]
    return found + [Finding(source, 0, f"{name} cannot be evaluated: {reason}") for name, reason in failed.items()]


def _is_password(value: Any) -> bool:
    # A mapping is one of Kolla's key pairs.
    return isinstance(value, str | int | Mapping | Missing) and not isinstance(value, bool)

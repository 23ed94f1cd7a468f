# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What can be told on the controller, before anything is changed, about variables, inventory and files."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from ansible_collections.qinling.kolla.plugins.module_utils.masking import is_secret_name
from ansible_collections.qinling.kolla.plugins.plugin_utils import ini, policy
from ansible_collections.qinling.kolla.plugins.plugin_utils.findings import Finding

_BOOLEANS = {"yes", "no", "true", "false", "on", "off", "y", "n", "t", "f", "1", "0"}
FORMATS = ("ini", "yaml", "json", "policy", "text")


class Missing:
    """Stands for a variable without a value; says why when it has one that can not be evaluated."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason


def _is_number(value: Any, kind: type[int] | type[float]) -> bool:
    if isinstance(value, bool):
        return False
    try:
        kind(str(value).strip())
    except ValueError:
        return False
    return True


def _is_ip(value: Any) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return True


def _is_url(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        # Asking for the port raises when it is not a number.
        return bool(parts and parts.scheme and parts.hostname and parts.port != 0)
    except ValueError:
        return False


# The name of a type: what it is called in a message, and how a value of it is told.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "any": ("a value", lambda value: True),
    "bool": ("a boolean (yes or no)", lambda value: isinstance(value, bool) or str(value).lower() in _BOOLEANS),
    "int": ("an integer", lambda value: _is_number(value, int)),
    "float": ("a number", lambda value: _is_number(value, float)),
    "port": ("a port (1 to 65535)", lambda value: _is_number(value, int) and 1 <= int(value) <= 65535),
    "string": ("a string", lambda value: isinstance(value, str)),
    "path": ("an absolute path", lambda value: isinstance(value, str) and value.startswith("/")),
    "ip": ("an IP address", _is_ip),
    "url": ("a URL (scheme://host)", _is_url),
    "list": ("a list", lambda value: isinstance(value, list | tuple)),
    "dict": ("a mapping", lambda value: isinstance(value, Mapping)),
}


def variable_findings(specs: Mapping[str, Any], values: Mapping[str, Any]) -> list[Finding]:
    """Takes what is expected of variables and their values (or Missing), returns what is wrong.

    An expectation is the name of a type, or a mapping of type, required (true), empty (false: may be an empty string,
    list or mapping), choices, min, max, pattern and elements (the type of a list's elements).
    """
    findings = []
    for name, given in specs.items():
        spec = {"type": given} if isinstance(given, str) else dict(given or {})
        kind = spec.get("type", "any")
        if kind not in _TYPES or spec.get("elements", "any") not in _TYPES:
            findings.append(Finding(name, 0, f"the check itself names an unknown type; known are {', '.join(_TYPES)}"))
            continue
        problem = _variable_problem(name, spec, kind, values.get(name, Missing()))
        if problem:
            findings.append(Finding(name, 0, problem))
    return findings


def _variable_problem(name: str, spec: Mapping[str, Any], kind: str, value: Any) -> str:
    called, fits = _TYPES[kind]
    if isinstance(value, Missing):
        if value.reason:
            return f"can not be evaluated: {value.reason}"
        return f"is not set; expected {called}" if spec.get("required", True) else ""
    if value is None:
        return f"has no value; expected {called}" if spec.get("required", True) else ""
    if value in ("", [], {}) and kind not in {"bool", "any"}:
        return "" if spec.get("empty", False) else f"is empty; expected {called}"
    shown = "" if is_secret_name(name) else f", got {_shown(value)}"
    if not fits(value):
        return f"expected {called}{shown}"
    choices = spec.get("choices")
    if choices and str(value) not in {str(choice) for choice in choices}:
        return f"expected one of {', '.join(map(str, choices))}{shown}"
    if kind in {"int", "float", "port"}:
        number = float(value)
        if number < spec.get("min", number) or number > spec.get("max", number):
            limits = f"{spec.get('min', '')} to {spec.get('max', '')}".strip()
            return f"expected {called} in the range {limits}{shown}"
    if "pattern" in spec and not re.fullmatch(str(spec["pattern"]), str(value)):
        return f"expected {called} that matches {spec['pattern']}{shown}"
    if "elements" in spec:
        element_called, element_fits = _TYPES[spec["elements"]]
        wrong = [str(number) for number, item in enumerate(value) if not element_fits(item)]
        if wrong:
            return f"expected a list of which each element is {element_called}; wrong are those at {', '.join(wrong)}"
    return ""


def _shown(value: Any) -> str:
    kinds = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (Mapping, "mapping"))
    kind = next((name for type_, name in kinds if isinstance(value, type_)), "list")
    text = str(value) if len(str(value)) <= 60 else f"{str(value)[:57]}..."
    return f"the {kind} {text!r}" if isinstance(value, str) else f"the {kind} {text}"


def group_findings(wanted: Iterable[Mapping[str, Any]], groups: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Takes ``{group, service, enabled}`` and the inventory's groups with their hosts, returns what is missing."""
    findings = []
    for item in wanted:
        if str(item.get("enabled", True)).lower() in {"false", "no", "off", "0"}:
            continue
        group, service = item["group"], item.get("service") or item["group"]
        if group not in groups:
            findings.append(
                Finding(f"group {group}", 0, f"is not in the inventory, but {service} is enabled; add [{group}]")
            )
        elif not list(groups[group]):
            findings.append(
                Finding(f"group {group}", 0, f"has no host, but {service} is enabled; add one to [{group}]")
            )
    return findings


class _Loader(yaml.SafeLoader):
    """Reads YAML with Ansible's own tags."""


_Loader.add_constructor("!vault", lambda loader, node: str(node.value))
_Loader.add_constructor("!unsafe", lambda loader, node: str(node.value))


def load_yaml(text: str, source: str) -> tuple[Any, list[Finding]]:
    """Takes a YAML text and its name, returns its data and what is wrong with it."""
    try:
        return yaml.load(text, Loader=_Loader), []  # noqa: S506 - a SafeLoader with two more tags
    except yaml.YAMLError as error:
        return None, [policy.yaml_finding(error, source)]


def file_findings(text: str, source: str, kind: str, orphans: bool = True) -> list[Finding]:
    """Takes a file's text (rendered), its name and format, returns what is wrong with its syntax."""
    if kind == "ini":
        return ini.parse(text, source, orphans)[1]
    if kind == "policy":
        return policy.load(text, source)[1]
    if kind == "json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            return [Finding(source, error.lineno, f"not valid JSON: {error.msg}")]
        return []
    if kind == "yaml":
        data, findings = load_yaml(text, source)
        if not findings and data is not None and not isinstance(data, Mapping):
            findings = [Finding(source, 1, "expected a mapping of names to values")]
        return findings
    return []


def password_findings(text: str | None, source: str, names: Iterable[str], hint: str) -> list[Finding]:
    """Takes the text of passwords.yml (none: there is no such file), the names that need a value, and what to do."""
    wanted = list(dict.fromkeys(names))
    if text is None:
        return [Finding(source, 0, f"the file with passwords is missing; {hint}")] if wanted else []
    data, findings = load_yaml(text, source)
    if findings:
        return findings
    if data is not None and not isinstance(data, Mapping):
        return [Finding(source, 1, "expected a mapping of names to passwords")]
    values = data or {}
    absent = [name for name in wanted if name not in values]
    empty = [name for name in wanted if name in values and values[name] in (None, "")]
    odd = [name for name in wanted if values.get(name) and not isinstance(values[name], str | int | Mapping)]
    found = []
    if absent:
        found.append(Finding(source, 0, f"these passwords are missing: {', '.join(absent)}; {hint}"))
    if empty:
        found.append(Finding(source, 0, f"these passwords are empty: {', '.join(empty)}; {hint}"))
    if odd:
        found.append(Finding(source, 0, f"these passwords are not strings: {', '.join(odd)}; quote them"))
    return found

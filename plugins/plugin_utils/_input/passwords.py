# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Fill in the missing values of a password file, without changing any other character."""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Callable, Mapping

import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.policy import yaml_finding
from ansible_collections.qinling.kolla.plugins.plugin_utils._input.prechecks import load_yaml

_ALPHABET = string.ascii_letters + string.digits


def _password() -> str:
    # A letter first, so that YAML, shells and INI files all read it as a string.
    return secrets.choice(string.ascii_letters) + "".join(secrets.choice(_ALPHABET) for _position in range(39))


KINDS: dict[str, Callable[[], str]] = {
    "password": _password,
    "uuid": lambda: str(uuid.uuid4()),
    "fernet": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii"),
    "hmac": lambda: secrets.token_hex(32),
}


def fill(text: str, source: str, kinds: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text of a password file with missing values filled in, and their names.

    An empty `text` creates a new file; `kinds` has the kind of each required password. Raise FindingsError if the file
    or a kind is invalid.
    """
    findings = [
        Finding(name, 0, f"{kind!r} is not a kind of password; expected one of {', '.join(KINDS)}")
        for name, kind in kinds.items()
        if kind not in KINDS
    ]
    nodes, found = _nodes(text, source)
    findings += found
    if findings:
        raise FindingsError(findings)
    empty = [name for name in kinds if name not in nodes or _is_empty(nodes[name])]
    values = {name: KINDS[kinds[name]]() for name in empty}
    edits = sorted((nodes[name].start_mark.index, nodes[name].end_mark.index, name) for name in empty if name in nodes)
    for start, end, name in reversed(edits):
        space = "" if text[start - 1].isspace() else " "
        text = text[:start] + space + _scalar(values[name]) + text[end:]
    added = [f"{name}: {_scalar(values[name])}\n" for name in empty if name not in nodes]
    if added:
        text = (text or "---\n") if not text or text.endswith("\n") else text + "\n"
        text += "".join(added)
    _verify(text, source, values)
    return text, empty


def given(text: str, source: str) -> set[str]:
    """Return the names that have a value in the text of a password file. Raise FindingsError if it is invalid."""
    nodes, findings = _nodes(text, source)
    if findings:
        raise FindingsError(findings)
    return {name for name, node in nodes.items() if not _is_empty(node)}


def _nodes(text: str, source: str) -> tuple[dict[str, yaml.Node], list[Finding]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return {}, [yaml_finding(error, source)]
    if root is None:
        return {}, []
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        line = root.start_mark.line + 1
        return {}, [Finding(source, line, "expected a mapping of names to passwords, one per line")]
    return {str(key.value): value for key, value in root.value}, []


def _is_empty(node: yaml.Node) -> bool:
    null = node.tag == "tag:yaml.org,2002:null"
    return isinstance(node, yaml.ScalarNode) and (null or not str(node.value).strip())


def _scalar(value: str) -> str:
    return str(yaml.safe_dump(value, width=1000)).splitlines()[0]


def _verify(text: str, source: str, values: Mapping[str, str]) -> None:
    """Raise FindingsError if the new text does not contain the new values."""
    data, findings = load_yaml(text, source)
    if not findings and values and any((data or {}).get(name) != value for name, value in values.items()):
        findings = [Finding(source, 0, "values cannot be added; write one plain 'name: value' per line")]
    if findings:
        raise FindingsError(findings)

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Report which file set an option, from the sources that the merge of configuration files retains."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import MASK, mask_lines
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import RenderedFile

# The origin of one option of one file, in types that Ansible can serialize.
Origin = dict[str, Any]


def origins_for(
    services: Mapping[str, Iterable[RenderedFile]], query: str, spellings: list[str]
) -> tuple[list[Origin], list[str]]:
    """Return the origins of the options that match a query, and the names of all options.

    The query is an option (``section.option``, ``[section]/option`` or its name alone), a section, or empty for all
    options. `spellings` are the literal secrets, which are masked as in a diff.
    """
    found: list[Origin] = []
    names: set[str] = set()
    for service, files in services.items():
        for file in files:
            for section, options in (file.sections or {}).items():
                for name, option in options.items():
                    names.add(f"{section}.{name}")
                    if selects(query, section, name):
                        origin = {"file": f"{service}/{file.path}", "section": section, "option": name}
                        found.append({**origin, "steps": _steps(name, option, spellings, file.secret)})
    return found, sorted(names)


def _steps(name: str, option: ini.Option, spellings: list[str], secret: bool) -> list[dict[str, Any]]:
    return [
        {
            "text": f"{name} = {MASK}" if secret else "\n".join(mask_lines(ini.write(name, step), spellings)),
            "origin": step.origin,
            "variables": list(step.variables),
        }
        for step in (option, *reversed(option.replaced))
    ]


def selects(query: str, section: str, name: str) -> bool:
    """Return whether a query matches an option."""
    normalized = normalize(query)
    return not normalized or normalized in {part.lower() for part in (f"{section}.{name}", section, name) if part}


def normalize(query: str) -> str:
    """Return a query as ``section.option``, section or option in lower case."""
    return re.sub(r"[\[\]/\s]+", ".", query.strip()).strip(".").lower()


def similar_options(query: str, names: Iterable[str]) -> list[str]:
    """Return up to four suggestions for a query without match; `names` are all options as ``section.option``."""
    normalized = normalize(query)
    forms: dict[str, str] = {}
    for full in names:
        section, _dot, name = full.rpartition(".")
        for form in (full, name, section):
            forms.setdefault(form.lower(), form if form == section else full)
    # The option may be right, and only its section wrong.
    same = [form for form in forms if "." in form and form.rpartition(".")[2] == normalized.rpartition(".")[2]]
    similar = difflib.get_close_matches(normalized, forms, 4, 0.8)
    return list(dict.fromkeys(forms[form] for form in [*same, *similar]))[:4]


def text(by_host: Mapping[str, Sequence[Origin]]) -> str:
    """Return the origins by host as readable text; hosts with the same origin share an entry."""
    hosts: dict[str, list[str]] = {}
    sections: dict[str, dict[str, None]] = {}
    for host, found in by_host.items():
        for origin in found:
            block = _block(origin)
            hosts.setdefault(f"{origin['file']}\0{block}", []).append(host)
            sections.setdefault(f"[{origin['section'] or '(no section)'}] {origin['option']}", {})[
                f"{origin['file']}\0{block}"
            ] = None
    lines = []
    for title, blocks in sorted(sections.items()):
        lines.append(title)
        for key in blocks:
            file, _zero, block = key.partition("\0")
            lines += [f"  {file} on {', '.join(hosts[key])}", block]
    return "\n".join(lines)


def _block(origin: Origin) -> str:
    lines = []
    for number, step in enumerate(origin["steps"]):
        if number == 1:
            lines.append("    instead of")
        indent = "    " if number == 0 else "      "
        lines += [indent + line for line in step["text"].split("\n")]
        variables = f", from {', '.join(step['variables'])}" if step["variables"] else ""
        lines.append(f"{indent}  set in {step['origin']}{variables}")
    return "\n".join(lines)

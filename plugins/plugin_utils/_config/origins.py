# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Says which file set an option, from what the merge of the configuration files remembers of each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import MASK, mask_lines
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import RenderedFile

# What is said of one option of one file, in types that Ansible takes.
Answer = dict[str, Any]


def answers(
    services: Mapping[str, Iterable[RenderedFile]], question: str, spellings: list[str]
) -> tuple[list[Answer], list[str]]:
    """Takes rendered services, a question and the spellings of secrets; returns answers, and all names that there are.

    The question is an option (``section.option``, ``[section]/option`` or its name alone), a section, or nothing, which
    asks for all. Secrets are masked as in a diff.
    """
    found: list[Answer] = []
    names: set[str] = set()
    for service, files in services.items():
        for file in files:
            for section, options in (file.sections or {}).items():
                for name, option in options.items():
                    names.add(f"{section}.{name}")
                    if selects(question, section, name):
                        answer = {"file": f"{service}/{file.path}", "section": section, "option": name}
                        found.append({**answer, "steps": _steps(name, option, spellings, file.secret)})
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


def selects(question: str, section: str, name: str) -> bool:
    """Takes a question, a section and an option of it, returns whether it is asked for."""
    asked = plain_name(question)
    return not asked or asked in {part.lower() for part in (f"{section}.{name}", section, name) if part}


def plain_name(question: str) -> str:
    """Takes a question in any of its forms, returns it as ``section.option``, section or option in lower case."""
    return re.sub(r"[\[\]/\s]+", ".", question.strip()).strip(".").lower()


def near(question: str, names: Iterable[str]) -> list[str]:
    """Takes a question that nothing answers and all names as ``section.option``, returns those that may be meant."""
    asked = plain_name(question)
    known: dict[str, str] = {}
    for full in names:
        section, _dot, name = full.rpartition(".")
        for form in (full, name, section):
            known.setdefault(form.lower(), form if form == section else full)
    # The option may be right, and its section wrong.
    same = [form for form in known if "." in form and form.rpartition(".")[2] == asked.rpartition(".")[2]]
    return list(dict.fromkeys(known[form] for form in [*same, *difflib.get_close_matches(asked, known, 4, 0.8)]))[:4]


def text(by_host: Mapping[str, Sequence[Answer]]) -> str:
    """Takes the answers of each host, returns them as a person reads them; hosts of which the same is true together."""
    hosts: dict[str, list[str]] = {}
    sections: dict[str, dict[str, None]] = {}
    for host, found in by_host.items():
        for answer in found:
            block = _block(answer)
            hosts.setdefault(f"{answer['file']}\0{block}", []).append(host)
            sections.setdefault(f"[{answer['section'] or '(no section)'}] {answer['option']}", {})[
                f"{answer['file']}\0{block}"
            ] = None
    lines = []
    for title, blocks in sorted(sections.items()):
        lines.append(title)
        for key in blocks:
            file, _zero, block = key.partition("\0")
            lines += [f"  {file} on {', '.join(hosts[key])}", block]
    return "\n".join(lines)


def _block(answer: Answer) -> str:
    lines = []
    for number, step in enumerate(answer["steps"]):
        if number == 1:
            lines.append("    instead of")
        indent = "    " if number == 0 else "      "
        lines += [indent + line for line in step["text"].split("\n")]
        made = f", from {', '.join(step['variables'])}" if step["variables"] else ""
        lines.append(f"{indent}  set in {step['origin']}{made}")
    return "\n".join(lines)

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""INI files in the dialect of oslo.config, merged as Kolla Ansible's merge_configs merges them.

* Layers are merged in order, option by option: a later layer's option replaces an earlier one's.
* An option that is repeated within one layer is a multi-valued option; all its values stand or fall together.
* A line that starts with whitespace continues the value above it.
* The first ``=`` or ``:`` of a line ends the option's name; one pair of quotes around a value is dropped.
* Comments are dropped. Nothing is interpolated: ``%`` and ``$`` stay as they are.

Where Kolla loses meaning, this module keeps it: options before any section are written before any section (Kolla
writes them after the last section that an earlier layer opened), and a value that needs its quotes, because of
whitespace at its ends or quotes inside, gets them back.

Every option knows the files and lines it came from, through merging. What is written is in order of names: two files
that say the same are the same, in whatever order their sources said it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding

# The lines of one value: the one beside the option, then its continuations. Nothing at all is an empty value.
Value = tuple[str, ...]


@dataclass(frozen=True)
class Option:
    """What one layer says of an option, where it says so, and what earlier layers said, the first of them first.

    `lines` are those of the values. `variables` are those of which a template made the values.
    """

    values: tuple[Value, ...]
    source: str = ""
    lines: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()
    replaced: tuple[Option, ...] = ()

    @property
    def origin(self) -> str:
        """Where it was set, as ``file:line``."""
        return f"{self.source}:{','.join(map(str, self.lines))}" if any(self.lines) else self.source


# A section's options by name. Options before any section stand under the empty name.
Sections = dict[str, dict[str, Option]]

_ORPHANS = ""


def parse(text: str, source: str) -> tuple[Sections, list[Finding]]:
    """Return what a file sets, from its text and its name, and what is wrong with it.

    Findings never quote the file, as any line may hold a secret.
    """
    sections: Sections = {}
    findings: list[Finding] = []
    section: str | None = _ORPHANS  # None: the section's header is broken, its options belong nowhere.
    pending: tuple[str, list[str], int] | None = None
    broken = False  # Continuations of a broken line are part of the one finding.

    def flush() -> None:
        nonlocal pending
        if pending and section is not None:
            name, lines, start = pending
            value = () if lines == [""] else tuple(lines)
            options = sections.setdefault(section, {})
            own = options.get(name, Option((), source))
            options[name] = replace(own, values=(*own.values, value), lines=(*own.lines, start))
        pending = None

    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.rstrip()
        if not line:
            flush()
            broken = False
        elif line[0] in " \t":
            if pending:
                pending[1].append(line.lstrip())
            elif not broken:
                findings.append(Finding(source, number, "the line is indented but there is no option to continue"))
                broken = True
        elif line[0] == "[":
            flush()
            problem = _header_problem(line)
            broken = bool(problem)
            section = None if problem else line[1:-1]
            if section is None:
                findings.append(Finding(source, number, problem))
            else:
                sections.setdefault(section, {})
        elif line[0] in "#;":
            flush()
            broken = False
        else:
            flush()
            name, separator, value = _split(line)
            problem = ""
            if not separator:
                problem = "expected 'option = value', '[section]' or a comment: there is no '=' or ':' in the line"
            elif not name:
                problem = "the option's name before the '=' or ':' is missing"
            broken = bool(problem)
            if problem:
                findings.append(Finding(source, number, problem))
            else:
                pending = (name, [value], number)
    flush()
    return sections, findings


def _header_problem(line: str) -> str:
    if not line.endswith("]"):
        return "the section's header does not end with ']'"
    if len(line) == 2:
        return "the section's name is empty"
    if "]" in line[1:-1]:
        return "the section's header has a ']' inside its name"
    return ""


def _split(line: str) -> tuple[str, str, str]:
    """Takes a line, returns the option's name, the separator (empty if there is none) and the value unquoted."""
    ends = [position for position in (line.find("="), line.find(":")) if position >= 0]
    if not ends:
        return line, "", ""
    end = min(ends)
    value = line[end + 1 :].strip()
    if _quoted(value):
        value = value[1:-1]
    return line[:end].strip(), line[end], value


def _quoted(value: str) -> bool:
    return bool(value) and value[0] in "\"'" and value[0] == value[-1]


def merge(layers: Iterable[Sections]) -> Sections:
    """Takes layers in order, returns what they say together, each option with what it replaced."""
    merged: Sections = {}
    for layer in layers:
        for section, options in layer.items():
            known = merged.setdefault(section, {})
            for name, option in options.items():
                before = known.get(name)
                known[name] = (
                    replace(option, replaced=(*before.replaced, replace(before, replaced=()))) if before else option
                )
    return merged


def render(sections: Sections) -> str:
    """Takes sections, returns the file's text: options before any section, then [DEFAULT], then all by their names."""
    blocks = []
    for section, options in sorted(
        sections.items(), key=lambda item: (item[0] != _ORPHANS, item[0] != "DEFAULT", item[0])
    ):
        lines = [f"[{section}]"] if section != _ORPHANS else []
        for name, option in sorted(options.items()):
            lines += write(name, option).split("\n")
        if lines:
            blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def write(name: str, option: Option) -> str:
    """Takes an option's name and what is said of it, returns its lines."""
    return "\n".join(line for value in option.values for line in _write(name, value))


def _write(name: str, value: Value) -> list[str]:
    first, *others = value or ("",)
    if first and (_quoted(first) or first != first.strip()):
        first = f'"{first}"'
    indent = " " * (len(name) + 3)
    return [f"{name} = {first}".rstrip(), *(indent + line for line in others)]

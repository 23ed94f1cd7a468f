# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""INI files in the dialect of oslo.config, merged like Kolla Ansible's merge_configs.

* Layers are merged in order, option by option: a later layer's option replaces an earlier one's.
* An option that is repeated within one layer is a multi-valued option; a later layer replaces all its values.
* A line that starts with whitespace continues the value above it.
* The first ``=`` or ``:`` of a line ends the option's name; one pair of quotes around a value is dropped.
* Comments are dropped. There is no interpolation: ``%`` and ``$`` stay unchanged.

Two cases differ from Kolla, which changes their meaning: options before any section are written before any section
(Kolla writes them after the last section of an earlier layer), and a value that needs its quotes, because of
whitespace at its ends or quotes inside, is quoted again.

Every option retains its source files and lines through merging. The output is sorted by name, so that files with the
same options are equal, independent of the order in their sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding

# The lines of one value: the first follows the option's name, the others are continuations. An empty value has none.
Value = tuple[str, ...]


@dataclass(frozen=True)
class Option:
    """An option of one layer, with its source, and the options of earlier layers that it replaced, oldest first.

    `lines` are the lines of the values, `variables` the variables from which a template rendered them.
    """

    values: tuple[Value, ...]
    source: str = ""
    lines: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()
    replaced: tuple[Option, ...] = ()

    @property
    def origin(self) -> str:
        """The location that set the option, as ``file:line``."""
        return f"{self.source}:{','.join(map(str, self.lines))}" if any(self.lines) else self.source


# The options by section and name. Options before any section have an empty section name.
Sections = dict[str, dict[str, Option]]

_ORPHANS = ""


def parse(text: str, source: str) -> tuple[Sections, list[Finding]]:
    """Return the sections of a file with the name `source`, and findings about its syntax.

    Findings never quote the file, as any line may contain a secret.
    """
    sections: Sections = {}
    findings: list[Finding] = []
    section: str | None = _ORPHANS  # None: the section's header is invalid, its options are ignored.
    pending: tuple[str, list[str], int] | None = None
    broken = False  # Continuations of an invalid line do not cause another finding.

    def flush() -> None:
        nonlocal pending
        if pending and section is not None:
            name, lines, start = pending
            value = () if lines == [""] else tuple(lines)
            options = sections.setdefault(section, {})
            previous = options.get(name, Option((), source))
            options[name] = replace(previous, values=(*previous.values, value), lines=(*previous.lines, start))
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
                findings.append(Finding(source, number, "the line is indented, but does not follow an option"))
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
                problem = "expected 'option = value', '[section]' or a comment: the line has no '=' or ':'"
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
    """Return the option's name, the separator (empty if missing) and the unquoted value of a line."""
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
    """Return the layers merged in order; each option has those that it replaced."""
    merged: Sections = {}
    for layer in layers:
        for section, options in layer.items():
            target = merged.setdefault(section, {})
            for name, option in options.items():
                earlier = target.get(name)
                target[name] = (
                    replace(option, replaced=(*earlier.replaced, replace(earlier, replaced=()))) if earlier else option
                )
    return merged


def render(sections: Sections) -> str:
    """Return the file's text: options before any section, then [DEFAULT], then the other sections sorted by name."""
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
    """Return the lines of an option in a file."""
    return "\n".join(line for value in option.values for line in _write(name, value))


def _write(name: str, value: Value) -> list[str]:
    first, *others = value or ("",)
    if first and (_quoted(first) or first != first.strip()):
        first = f'"{first}"'
    indent = " " * (len(name) + 3)
    return [f"{name} = {first}".rstrip(), *(indent + line for line in others)]

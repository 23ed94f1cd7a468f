# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Render the files of services from their specifications, on the controller.

Reading and templating are passed in, so that all functions are pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import DesiredFile
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini, policy
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.relocation import Relocation

KINDS = ("template", "ini", "json", "policy", "content", "copy")
_COMMON = {"dest", "mode", "secret"}
# Modes of files on the host; world-readable files, such as CA certificates, set their mode.
_MODES = {"0600": 0o600, "0644": 0o644}


@dataclass(frozen=True)
class Source:
    """A decrypted file on the controller; `secret` if it is encrypted on disk."""

    path: str
    content: bytes
    secret: bool = False


# Return the file at a path if it exists.
Read = Callable[[str], Source | None]
# Return the rendered text of a template with a path and extra variables, or raise FindingsError.
Render = Callable[[str, str, Mapping[str, Any]], str]


@dataclass(frozen=True)
class RenderedFile:
    """A desired file on the host; `sections` are the options of an INI file."""

    path: str
    content: bytes
    secret: bool = False
    sections: ini.Sections | None = None
    mode: int = 0o600


@dataclass
class Rendered:
    """All files by service, with findings and warnings."""

    services: dict[str, list[RenderedFile]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def render_services(services: Mapping[str, Any], read: Read, render: Render) -> Rendered:
    """Return the rendered files of services with all findings; `services` has lists of file specifications by name."""
    result = Rendered()
    for name, files in services.items():
        if not isinstance(files, list):
            result.findings.append(Finding(f"files.{name}", 0, "expected a list of files"))
            continue
        result.services[name] = []
        for spec in files:
            try:
                result.services[name].append(_Renderer(name, spec, read, render, result.warnings).file())
            except FindingsError as error:
                result.findings += error.findings
    return result


def desired_files(rendered: Rendered) -> dict[str, list[DesiredFile]]:
    """Return the files of rendered services for `directory_sync`."""
    return {
        name: [DesiredFile(file.path, file.mode, file.content, file.secret) for file in files]
        for name, files in rendered.services.items()
    }


def to_bool(value: Any) -> bool:
    """Return whether a value is true or one of Ansible's words for it."""
    return str(value).strip().lower() in {"true", "yes", "on", "1", "y", "t"}


def to_plain(value: Any) -> Any:
    """Return Ansible's data in plain types that any serializer accepts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    return str(value)


class _Renderer:
    """Renders one file of one service."""

    def __init__(self, service: str, spec: Any, read: Read, render: Render, warnings: list[str]) -> None:
        self.spec: Mapping[str, Any] = spec if isinstance(spec, Mapping) else {}
        dest = self.spec.get("dest")
        self.where = f"{service}/{dest}" if dest else f"{service}, a file without dest"
        self.variables = {"service_name": service}
        self.read = read
        self.render = render
        self.warnings = warnings
        self.secret = to_bool(self.spec.get("secret", False))
        self.sections: ini.Sections | None = None

    def file(self) -> RenderedFile:
        """Return the rendered file. Raise FindingsError with all problems."""
        dest, mode = self.spec.get("dest"), self.spec.get("mode", "0600")
        kinds = [kind for kind in KINDS if kind in self.spec]
        problems = []
        if not isinstance(dest, str) or not dest:
            problems.append("'dest' is missing; expected a path relative to the service's directory")
        if len(kinds) != 1:
            problems.append(f"expected exactly one of {', '.join(KINDS)}; found {', '.join(kinds) or 'none'}")
        unknown = sorted(set(self.spec) - _COMMON - set(KINDS))
        if unknown:
            problems.append(f"unknown keys: {', '.join(unknown)}")
        if mode not in _MODES:
            problems.append(f"'mode' is {mode!r}; expected one of {', '.join(map(repr, _MODES))}")
        if problems:
            raise FindingsError(Finding(self.where, 0, problem) for problem in problems)
        content = getattr(self, f"_{kinds[0]}")(self.spec[kinds[0]])
        return RenderedFile(to_plain(dest), content, self.secret, self.sections, _MODES[mode])

    def _first(self, candidates: Any) -> Source:
        """Return the first existing file of a path or a list of paths."""
        paths = [str(path) for path in (candidates if isinstance(candidates, list | tuple) else [candidates])]
        for path in paths:
            source = self.read(path)
            if source:
                self.secret = self.secret or source.secret
                return source
        names = " or ".join(paths) or "(an empty list)"
        raise FindingsError([Finding(self.where, 0, f"the file {names} is missing on the controller")])

    def _text(self, source: Source) -> str:
        try:
            return source.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = source.content.count(b"\n", 0, error.start) + 1
            raise FindingsError([Finding(source.path, line, "not UTF-8")]) from error

    def _rendered(self, source: Source) -> str:
        return self.render(self._text(source), source.path, self.variables)

    def _template(self, value: Any) -> bytes:
        return self._rendered(self._first(value)).encode()

    def _copy(self, value: Any) -> bytes:
        return self._first(value).content

    def _content(self, value: Any) -> bytes:
        return str(to_plain(value)).encode()

    def _json(self, value: Any) -> bytes:
        return (json.dumps(to_plain(value), indent=4, ensure_ascii=False) + "\n").encode()

    def _ini(self, value: Any) -> bytes:
        if not isinstance(value, Mapping) or set(value) - {"template", "overrides"} or "template" not in value:
            raise FindingsError([Finding(self.where, 0, "'ini' expects template (a path) and overrides (paths)")])
        layers: list[ini.Sections] = []
        findings: list[Finding] = []
        found = (self.read(str(path)) for path in value.get("overrides") or [])
        for source in [self._first(value["template"]), *filter(None, found)]:
            self.secret = self.secret or source.secret
            try:
                sections, layer_findings = self._layer(source)
            except FindingsError as error:
                findings.extend(error.findings)
                continue
            layers.append(sections)
            findings.extend(layer_findings)
        if findings:
            raise FindingsError(findings)
        self.sections = ini.merge(layers)
        return ini.render(self.sections).encode()

    def _layer(self, source: Source) -> tuple[ini.Sections, list[Finding]]:
        """Return the options of a file and its findings, with the line numbers of the file on disk."""
        raw = self._text(source)
        text = self.render(raw, source.path, self.variables)
        sections, findings = ini.parse(text, source.path)
        if text == raw:
            return sections, findings
        relocation = Relocation(raw, text)
        for options in sections.values():
            for name, option in options.items():
                lines = tuple(dict.fromkeys(map(relocation.line, option.lines)))
                variables = sorted({name for line in lines for name in relocation.variables(line)})
                options[name] = replace(option, lines=lines, variables=tuple(variables))
        return sections, [relocate(finding, relocation) for finding in findings]

    def _policy(self, value: Any) -> bytes:
        if not isinstance(value, Mapping) or set(value) - {"defaults", "overrides"} or not value.get("defaults"):
            raise FindingsError([Finding(self.where, 0, "'policy' expects defaults (a mapping) and overrides (paths)")])
        found = [self.read(str(path)) for path in value.get("overrides") or []]
        sources = [source for source in found if source]
        if len(sources) > 1:
            ignored = ", ".join(source.path for source in sources[1:])
            self.warnings.append(f"the policy is read from {sources[0].path}; {ignored} is ignored")
        texts = [(source.path, self._rendered(source)) for source in sources[:1]]
        text, warnings = policy.merge_texts(to_plain(value["defaults"]), texts)
        self.warnings.extend(warnings)
        return text.encode()


def relocate(finding: Finding, relocation: Relocation) -> Finding:
    """Return a finding about rendered text with the line of the template, if this can be determined."""
    line = relocation.line(finding.line)
    if line or not finding.line:
        return Finding(finding.where, line, finding.message)
    return Finding(finding.where, finding.line, f"{finding.message} (line counted after templating)")

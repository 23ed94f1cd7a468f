# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the findings of the controller, add those passed to the task, and report all in one message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import policy, templating
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.relocation import Relocation
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import relocate, to_bool, to_plain
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs, prechecks
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects import projects

_OPTIONS = frozenset({"variables", "files", "findings", "warnings", "fail", "input"})
_HINT = "fill them in, or generate them"


class ActionModule(Action):
    """Thin glue between Ansible and `prechecks`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(args) - _OPTIONS)
        if unknown:
            raise AnsibleActionFail(f"qinling.kolla.precheck: unknown options: {', '.join(unknown)}")

        for warning in args.get("warnings") or []:
            Display().warning(str(warning))
        findings = [str(text) for text in args.get("findings") or []]
        findings += [str(finding) for finding in self._controller(args, task_vars)]
        stop = to_bool(args.get("fail", True))
        if args.get("input"):
            input_findings, template_unsafe = self._input(args["input"], task_vars)
            findings += [str(finding) for finding in input_findings]
            stop = stop or template_unsafe
        findings = list(dict.fromkeys(findings))
        result["changed"] = False
        result["findings"] = findings
        if findings and stop:
            result["failed"] = True
            result["msg"] = message(str(task_vars.get("inventory_hostname", "localhost")), findings)
        return result

    def _controller(self, args: Mapping[str, Any], variables: dict[str, Any]) -> list[Finding]:
        specs = args.get("variables") or {}
        findings = prechecks.variable_findings(specs, {name: self._value(name, variables) for name in specs})
        for spec in args.get("files") or []:
            findings += self._file(str(spec["path"]), spec["format"], variables)
        return findings

    def _input(self, args: Mapping[str, Any], variables: dict[str, Any]) -> tuple[list[Finding], bool]:
        """Return the findings about the operator's input, and whether templates would fail with it."""
        schema = inputs.InputSchema.load(projects.ROLES, projects.GLOBALS)
        values = {name: self._value(name, variables) for name in schema.given(variables)}
        findings = prechecks.variable_findings(schema.variables, values)
        findings += inputs.ascending_findings(schema.ascending, {**schema.defaults, **values})
        template_unsafe = bool(prechecks.variable_findings(schema.types(), values))
        if not to_bool(args.get("all", True)):
            return findings, template_unsafe

        selected = self._value("__projects_selected", variables)
        enabled = [] if isinstance(selected, prechecks.Missing) else selected
        warnings = inputs.unusual_warnings(schema.variables, values) + inputs.alias_warnings(schema.aliases, variables)
        for path in [str(path) for path in args["globals"]]:
            text = self._text(path)[0] or ""
            lines = inputs.key_lines(text)[0]
            findings = inputs.with_location(findings, path, lines)
            findings += inputs.number_findings(text, path, schema.variables)
            found, name_warnings = inputs.name_findings(lines, schema.names, "qinling")
            findings += inputs.with_location(found, path, lines)
            warnings += [f"{path}: {warning}" for warning in name_warnings]
        groups = variables.get("groups") or {}
        findings += prechecks.group_findings(projects.groups_of(enabled), groups)
        findings += inputs.host_findings(self._hosts(projects.groups_of(enabled), groups, variables))
        if to_bool(args.get("passwords_needed", True)):
            missing = self._passwords(args, enabled, variables)
            warnings += self._permission_warnings(Path(str(args["passwords"])))
            findings += missing
            template_unsafe = template_unsafe or bool(missing)
        found, override_warnings, files = inputs.override_findings(
            Path(str(args["overrides"])), schema.overrides, groups.get("all") or []
        )
        findings += found
        for file, kind in files if template_unsafe else []:
            # Otherwise the plan renders and merges all of them, and reports their findings.
            findings += self._file(str(file), kind, variables)
            if kind == "policy":
                rules, syntax_findings = policy.load(self._text(str(file))[0] or "", str(file))
                findings += syntax_findings or policy.merge(schema.policy, rules, str(file)).findings
        for warning in [*warnings, *override_warnings]:
            Display().warning(warning)
        return findings, template_unsafe

    def _hosts(
        self, required: list[dict[str, Any]], groups: Mapping[str, list[str]], variables: Mapping[str, Any]
    ) -> dict[str, tuple[str, str, str]]:
        """Return the connection, address and port of each host in the required groups."""
        hosts = {host: variables["hostvars"][host] for item in required for host in groups.get(item["group"], [])}
        return {
            name: (
                str(host.get("ansible_connection", "ssh")),
                str(host.get("ansible_host", name)),
                str(host.get("ansible_port", 22)),
            )
            for name, host in hosts.items()
        }

    def _passwords(
        self, args: Mapping[str, Any], enabled: list[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> list[Finding]:
        """Return the findings about the passwords that enabled projects need."""
        path = str(args["passwords"])
        names = projects.passwords_of(enabled)
        values = {name: self._value(name, variables) for name in names if name in variables}
        exists = values or Path(path).exists()
        return prechecks.password_findings(values if exists else None, path, names, str(args.get("hint") or _HINT))

    def _permission_warnings(self, path: Path) -> list[str]:
        if not path.is_file() or not path.stat().st_mode & 0o004 or path.read_bytes().startswith(b"$ANSIBLE_VAULT"):
            return []
        return [f"{path}: every user of this machine can read the passwords; chmod it to 0640"]

    def _value(self, name: str, variables: Mapping[str, Any]) -> Any:
        if name not in variables:
            return prechecks.Missing()
        try:
            # Nested values may be templates as well.
            return to_plain(templating.value(self._templar, name))
        except Exception as error:
            return prechecks.Missing(templating.explain(error, "", name).message.removeprefix("cannot be rendered: "))

    def _text(self, path: str) -> tuple[str | None, list[Finding]]:
        problem = inputs.file_problem(Path(path))
        if problem:
            return None, [Finding(path, 0, problem)]
        if not Path(path).exists():
            return None, []
        try:
            # Decrypted in memory: get_real_file would write the plain text to a temporary file.
            content, _was_plain = self._loader._get_file_contents(path)
            return bytes(content).decode("utf-8-sig"), []
        except UnicodeDecodeError as error:
            return None, [Finding(path, bytes(content).count(b"\n", 0, error.start) + 1, "not UTF-8")]
        except AnsibleError as error:
            return None, [Finding(path, 0, f"cannot be read: {str(error).splitlines()[0]}")]

    def _file(self, path: str, kind: str, variables: dict[str, Any]) -> list[Finding]:
        text, findings = self._text(path)
        if text is None:
            return findings
        if kind != "ini":
            return prechecks.file_findings(text, path, kind)
        try:
            rendered = templating.render(self._templar, variables, [self._loader.get_basedir()], text, path)
        except FindingsError as error:
            return error.findings
        relocation = Relocation(text, rendered)
        return [relocate(finding, relocation) for finding in prechecks.file_findings(rendered, path, kind)]


def message(host: str, findings: list[str]) -> str:
    """Return the message with the findings of a host."""
    count = "1 problem" if len(findings) == 1 else f"{len(findings)} problems"
    return "\n".join([f"Prechecks found {count} on {host}; nothing was changed:", *(f"- {item}" for item in findings)])

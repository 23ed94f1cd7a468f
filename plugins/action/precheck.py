# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Gathers every finding of the controller and the host, and reports them in one message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible_collections.qinling.kolla.plugins.plugin_utils import prechecks, templating
from ansible_collections.qinling.kolla.plugins.plugin_utils.action_base import Action
from ansible_collections.qinling.kolla.plugins.plugin_utils.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils.relocation import Relocation
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering import relocate, truth

_OPTIONS = frozenset({"variables", "groups", "files", "passwords", "host", "findings", "fail"})
_HINT = "fill them in, or generate them"


class ActionModule(Action):
    """Thin glue between Ansible and `prechecks`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(args) - _OPTIONS)
        if unknown:
            raise AnsibleActionFail(f"qinling.kolla.precheck: unknown options: {', '.join(unknown)}")

        findings = [str(text) for text in args.get("findings") or []]
        findings += [str(finding) for finding in self._controller(args, task_vars)]
        if args.get("host"):
            answer = self._execute_module(
                "qinling.kolla.host_check", module_args=dict(args["host"]), task_vars=task_vars
            )
            if answer.get("failed"):
                findings.append(f"the host can not be looked at: {answer.get('msg', 'no reason given')}")
            findings += answer.get("findings") or []
            for key in ("docker_version", "warnings", "deprecations", "invocation"):
                if key in answer:
                    result[key] = answer[key]
        findings = list(dict.fromkeys(findings))
        result["changed"] = False
        result["findings"] = findings
        if findings and truth(args.get("fail", True)):
            result["failed"] = True
            result["msg"] = message(str(task_vars.get("inventory_hostname", "localhost")), findings)
        return result

    def _controller(self, args: Mapping[str, Any], variables: dict[str, Any]) -> list[Finding]:
        specs = args.get("variables") or {}
        findings = prechecks.variable_findings(specs, {name: self._value(name, variables) for name in specs})
        findings += prechecks.group_findings(args.get("groups") or [], variables.get("groups") or {})
        for spec in args.get("files") or []:
            findings += self._file(spec, variables)
        passwords = args.get("passwords")
        if passwords:
            path = str(Path(str(passwords["file"])).expanduser())
            text, found = self._text(path)
            findings += found or prechecks.password_findings(
                text, path, passwords.get("names") or [], passwords.get("hint") or _HINT
            )
        return findings

    def _value(self, name: str, variables: Mapping[str, Any]) -> Any:
        if name not in variables:
            return prechecks.Missing()
        try:
            return templating.value(self._templar, name)
        except (AnsibleUndefinedVariable, AnsibleError) as error:
            return prechecks.Missing(templating.explain(error, "", name).message.removeprefix("can not be rendered: "))

    def _text(self, path: str) -> tuple[str | None, list[Finding]]:
        if not Path(path).exists():
            return None, []
        try:
            # Decrypts in memory what ansible-vault has encrypted.
            content, _was_plain = self._loader._get_file_contents(path)
            return bytes(content).decode("utf-8"), []
        except UnicodeDecodeError as error:
            return None, [Finding(path, bytes(content).count(b"\n", 0, error.start) + 1, "not UTF-8")]
        except AnsibleError as error:
            return None, [Finding(path, 0, f"can not be read: {str(error).splitlines()[0]}")]

    def _file(self, spec: Mapping[str, Any], variables: dict[str, Any]) -> list[Finding]:
        kind = spec.get("format", "text")
        if kind not in prechecks.FORMATS or not spec.get("path"):
            return [Finding(str(spec.get("path", "files")), 0, f"the check needs path and format {prechecks.FORMATS}")]
        path = str(Path(str(spec["path"])).expanduser())
        text, findings = self._text(path)
        if text is None:
            if not findings and truth(spec.get("required", False)):
                findings = [Finding(path, 0, "the file is missing")]
            return findings
        if not truth(spec.get("render", kind == "ini")):
            return prechecks.file_findings(text, path, kind, truth(spec.get("orphans", True)))
        try:
            rendered = templating.render(self._templar, variables, [self._loader.get_basedir()], text, path)
        except FindingsError as error:
            return error.findings
        found = prechecks.file_findings(rendered, path, kind, truth(spec.get("orphans", True)))
        return [relocate(finding, Relocation(text, rendered)) for finding in found]


def message(host: str, findings: list[str]) -> str:
    """Takes a host's name and findings, returns the message that a person reads."""
    count = "1 problem" if len(findings) == 1 else f"{len(findings)} problems"
    return "\n".join([f"Prechecks found {count} on {host}; nothing was changed:", *(f"- {item}" for item in findings)])

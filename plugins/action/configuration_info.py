# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Renders the files of services on the controller, and tells what is wrong with them and where options come from."""

from __future__ import annotations

import base64
import inspect
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils import oslo_options
from ansible_collections.qinling.kolla.plugins.module_utils.masking import hide, is_secret_name, literals
from ansible_collections.qinling.kolla.plugins.module_utils.tree import WantedFile, digest
from ansible_collections.qinling.kolla.plugins.plugin_utils import ini, origins
from ansible_collections.qinling.kolla.plugins.plugin_utils.findings import Finding
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering import Rendered, RenderedFile, truth
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering_action import RenderingAction


def wanted_checks(rendered: Rendered, validate: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Takes rendered services and which of their files hold an image's options; returns what is to be checked."""
    return [
        {
            "service": name,
            "image": str(validate[name]["image"]),
            "container": str(validate[name]["container"]),
            "digest": digest([WantedFile(file.path, int(file.mode, 8), file.content) for file in files]),
            "files": {file.path: file.content.decode() for file in files if file.path in validate[name]["files"]},
        }
        for name, files in rendered.services.items()
        if name in validate
    ]


def judged(
    found: Iterable[Mapping[str, Any]], files: Mapping[tuple[str, str], RenderedFile], shared: Iterable[str]
) -> tuple[list[Finding], list[Finding]]:
    """Takes what images say of files, the files, and the operator's files that are not for one project alone.

    Returns findings and warnings, by the files and lines that set the options. An option that is not known is a
    warning where it stands in a shared file: it may be meant for another project.
    """
    findings: list[Finding] = []
    warnings: list[Finding] = []
    for item in found:
        sections = files[item["service"], item["file"]].sections or {}
        option = sections.get(item["section"], {}).get(item["option"], ini.Option(()))
        name = f"[{item['section']}] {item['option']}"
        if item["kind"] == "unknown":
            near = item.get("near") or []
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            message = f"{name}: the libraries of {item['service']} know no such option{hint}"
        elif item["kind"] == "reference":
            message = f"{name}: its value has a $ that refers to no option; write $$ for the character"
        else:
            made = f" (it comes from {', '.join(option.variables)})" if option.variables else ""
            # What is said about a value may quote it.
            why = "" if is_secret_name(item["option"]) else f": {item['message']}"
            message = f"{name}: the value is not valid{why}{made}"
        finding = Finding(option.source or f"{item['service']}/{item['file']}", next(iter(option.lines), 0), message)
        (warnings if item["kind"] == "unknown" and option.source in shared else findings).append(finding)
    return findings, warnings


class ActionModule(RenderingAction):
    """Thin glue between Ansible, `rendering`, `origins`, and the module that asks the images."""

    _name = "configuration_info"
    _options = frozenset(
        {"custom_config", "secrets", "services", "option", "validate", "shared_files", "force", "pull"}
    )

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        rendered, secrets = self.rendered(args, task_vars)
        spellings = literals(secrets)
        findings = list(rendered.findings)
        result["changed"] = False
        result["validated"], result["not_validated"] = [], {}
        if "option" in args and not findings:
            found, names = origins.answers(rendered.services, str(args["option"] or ""), spellings)
            result["origins"], result["names"] = found, names
        if args.get("validate"):
            checks = wanted_checks(rendered, args["validate"])
            answer = self._validate(checks, args, task_vars)
            if answer.get("failed"):
                result.update(answer)
                return result
            result["validated"], result["not_validated"] = answer["validated"], answer["not_validated"]
            for service, reason in answer["not_validated"].items():
                Display().warning(f"the options of {service} were not validated: {reason}")
            files = {(name, file.path): file for name, files in rendered.services.items() for file in files}
            shared = [str(path) for path in args.get("shared_files") or []]
            wrong, warnings = judged(answer["found"], files, shared)
            findings += wrong
            for warning in dict.fromkeys(warnings):
                Display().warning(hide(str(warning), spellings))
        # What is said about a value that is wrong may hold the value.
        result["findings"] = [hide(str(finding), spellings) for finding in dict.fromkeys(findings)]
        return result

    def _validate(
        self, checks: list[dict[str, Any]], args: Mapping[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        payload = {
            "checks": checks,
            "script": inspect.getsource(oslo_options),
            "force": truth(args.get("force", False)),
            "pull": truth(args.get("pull", False)) and not self._task.check_mode,
        }
        answer = self._execute_module(
            "qinling.kolla.configuration_info",
            module_args={"payload": base64.b64encode(zlib.compress(json.dumps(payload).encode())).decode("ascii")},
            task_vars=task_vars,
        )
        return dict(answer)

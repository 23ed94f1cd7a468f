# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Renders the files of services on the controller, and tells what is wrong with them and where options come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils import payload
from ansible_collections.qinling.kolla.plugins.module_utils.masking import hide, literals
from ansible_collections.qinling.kolla.plugins.plugin_utils import option_findings, origins
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering import Rendered
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering_action import RenderingAction


class ActionModule(RenderingAction):
    """Thin glue between Ansible, `rendering`, `origins`, and the module that asks the images."""

    _name = "configuration_info"
    _options = frozenset({"secrets", "services", "option", "validate", "shared_files"})

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
            answer = self._validate(rendered, args, task_vars)
            if answer.get("failed"):
                result.update(answer)
                return result
            result["validated"], result["not_validated"] = answer["validated"], answer["not_validated"]
            wrong, warnings = option_findings.told(answer, rendered, map(str, args.get("shared_files") or []))
            findings += wrong
            for warning in warnings:
                Display().warning(hide(warning, spellings))
        # What is said about a value that is wrong may hold the value.
        result["findings"] = [hide(str(finding), spellings) for finding in dict.fromkeys(findings)]
        return result

    def _validate(self, rendered: Rendered, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        checks = option_findings.wanted_checks(rendered, args["validate"])
        request = option_findings.request(checks, force=True, pull=False)
        answer = self._execute_module(
            "qinling.kolla.configuration_info", module_args={"payload": payload.dump(request)}, task_vars=task_vars
        )
        return dict(answer)

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Renders the files of services on the controller and hands them to the module of the same name in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils import payload
from ansible_collections.qinling.kolla.plugins.module_utils.masking import hide, literals
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering import wanted_files
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering_action import RenderingAction


class ActionModule(RenderingAction):
    """Thin glue between Ansible and `rendering`."""

    _supports_diff = True
    _name = "configuration"
    _options = frozenset({"root", "owner", "group", "secrets", "services"})
    _required = ("root", "services")

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        rendered, secrets = self.rendered(args, task_vars)
        # What a filter says about a value it can not take may hold the value.
        spellings = literals(secrets)
        findings = [hide(str(finding), spellings) for finding in dict.fromkeys(rendered.findings)]
        if findings:
            result["findings"] = findings
            result["failed"] = True
            result["msg"] = "\n- ".join(["Nothing was changed. The configuration can not be made:", *findings])
            return result

        module_args = {
            "root": args["root"],
            "owner": args.get("owner"),
            "group": args.get("group"),
            "payload": payload.dump(
                {
                    "services": payload.dump_files(wanted_files(rendered)),
                    "disabled": rendered.disabled,
                    "secrets": secrets,
                }
            ),
        }
        result.update(self._execute_module("qinling.kolla.configuration", module_args=module_args, task_vars=task_vars))
        return result

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Has a host looked at, and tells what the certificates that were found there say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils import looks
from ansible_collections.qinling.kolla.plugins.plugin_utils import check_report
from ansible_collections.qinling.kolla.plugins.plugin_utils.action_base import Action


class ActionModule(Action):
    """Thin glue between Ansible, the module of the same name and `check_report`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        answer = self._execute_module("qinling.kolla.service_check", module_args=dict(args), task_vars=task_vars)
        if answer.get("failed"):
            # A host that can not be looked at is a row of the table, beside those of the others.
            reason = str(answer.get("msg", "no reason given"))
            rows = [looks.row("-", "host", looks.WRONG, f"can not be looked at: {reason}")]
            return {**result, "changed": False, "rows": rows}
        return {**result, **answer, "rows": check_report.told(answer["rows"], datetime.now(UTC))}

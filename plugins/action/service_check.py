# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Sends the checks of a host's projects to the module, and says what the certificates that it found mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._plan import check_results
from ansible_collections.qinling.kolla.plugins.plugin_utils._common import check_report
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects import projects, services


class ActionModule(Action):
    """Thin glue between Ansible, the module of the same name and `check_report`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        module_args = {name: value for name, value in args.items() if name != "projects"}
        checks, auth = self._checks(args.get("projects") or [], task_vars)
        module_args["looks"] = [*module_args.get("looks", []), *checks]
        if auth:
            module_args["auth"] = auth
        answer = self._execute_module("qinling.kolla.service_check", module_args=module_args, task_vars=task_vars)
        if answer.get("failed"):
            # A host that cannot be checked is a row of the table, next to those of the others.
            reason = str(answer.get("msg", "no reason given"))
            rows = [check_results.row("-", "host", check_results.WRONG, f"cannot be checked: {reason}")]
            return {**result, "changed": False, "rows": rows}
        return {**result, **answer, "rows": check_report.told(answer["rows"], datetime.now(UTC))}

    def _checks(
        self, wanted: list[Mapping[str, Any]], task_vars: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the checks on this host of the projects (`{name, definition}`), and how they log in to Keystone."""
        variables = projects.with_roles(self._loader, task_vars)
        variables = projects.with_globals(self._templar, variables)
        checks: list[dict[str, Any]] = []
        auth: dict[str, Any] = {}
        for definition in projects.definitions(self._templar, variables, wanted):
            local = services.services_of_host(definition.services, variables["group_names"])
            auth = definition.get("auth", auth)
            checks += projects.checks_of(definition.get("checks", []), local, definition.is_first(variables))
        return checks, auth

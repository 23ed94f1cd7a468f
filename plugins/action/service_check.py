# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks of a host's projects with the module, and evaluate the certificates that it found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
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
        module_args["checks"] = [*module_args.get("checks", []), *checks]
        if auth:
            module_args["auth"] = auth
        response = self._execute_module("qinling.kolla.service_check", module_args=module_args, task_vars=task_vars)
        if response.get("failed"):
            # A host that cannot be checked is a row of the table as well.
            reason = str(response.get("msg", "no reason given"))
            rows = [check_results.row("-", "host", check_results.FAILED, f"cannot be checked: {reason}")]
            return {**result, "changed": False, "rows": rows}
        return {**result, **response, "rows": check_report.with_expiry(response["rows"], datetime.now(timezone.utc))}

    def _checks(
        self, selected: list[Mapping[str, Any]], task_vars: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the checks of the projects (`{name, definition}`) on this host, and their Keystone login."""
        variables = projects.with_roles(self._loader, task_vars)
        variables = projects.with_globals(self._templar, variables)
        checks: list[dict[str, Any]] = []
        auth: dict[str, Any] = {}
        for definition in projects.definitions(self._templar, variables, selected):
            local = services.services_of_host(definition.services, variables["group_names"])
            auth = definition.get("auth", auth)
            checks += projects.checks_of(definition.get("checks", []), local, definition.is_first(variables))
        return checks, auth

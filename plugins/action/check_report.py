# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the results of `qinling.kolla.service_check` on all hosts in one table, and fail if a check failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.plugin_utils._common import check_report
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems


class ActionModule(Action):
    """Thin glue between Ansible and `check_report`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        problems = option_problems(args, ("hosts", "variable"), ("hosts", "variable"))
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.check_report: {'; '.join(problems)}")
        rows = check_report.gather(args["hosts"], task_vars["hostvars"], args["variable"])
        # Displayed directly: Ansible's result callbacks break or quote the lines of a table.
        Display().display(check_report.table(rows))
        summary = check_report.summary(rows)
        return {**result, "changed": False, **({"failed": True, "msg": summary} if summary else {})}

# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the resources of the controller locally, and send the others to the module as an opaque payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import to_bool, to_plain


class ActionModule(Action):
    """Thin glue between Ansible, the module of the same name and `kinds`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        problems = option_problems(args, ("resources", "server_in_same_run", "secrets"), ())
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.resources: {'; '.join(problems)}")
        resources = to_plain(args.get("resources") or [])
        local = [resource for resource in resources if resource.get("on_controller")]
        remote = [resource for resource in resources if not resource.get("on_controller")]
        options: dict[str, Any] = {
            "server_in_same_run": to_bool(args.get("server_in_same_run", False)),
            "secrets": [str(secret) for secret in to_plain(args.get("secrets") or [])],
        }
        applied = kinds.apply(local, check=self._task.check_mode, diff=self._task.diff, **options)
        if remote and not applied.get("failed"):
            sent = payload.dump({"resources": remote, **options})
            response = self._execute_module("qinling.kolla.host_resources", {"payload": sent}, task_vars=task_vars)
            response["changed"] = response.get("changed", False) or applied["changed"]
            for key in ("done", "notes", "diff"):
                response[key] = applied[key] + response.get(key, [])
            applied = response
        for note in applied["notes"] if not self._task.check_mode else []:
            Display().warning(note)
        return {**result, **applied}

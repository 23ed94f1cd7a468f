# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Sends resources to the module so that none of their secrets is shown; applies those of the controller here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import plain, truth


class ActionModule(Action):
    """Thin glue between Ansible, the module of the same name and `kinds`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        problems = option_problems(args, ("resources", "server_in_same_run", "secrets"), ())
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.resources: {'; '.join(problems)}")
        resources = plain(args.get("resources") or [])
        here = [resource for resource in resources if resource.get("on_controller")]
        there = [resource for resource in resources if not resource.get("on_controller")]
        options: dict[str, Any] = {
            "server_in_same_run": truth(args.get("server_in_same_run", False)),
            "secrets": [str(secret) for secret in plain(args.get("secrets") or [])],
        }
        applied = kinds.apply(here, check=self._task.check_mode, diff=self._task.diff, **options)
        if there and not applied.get("failed"):
            sent = payload.dump({"resources": there, **options})
            answer = self._execute_module("qinling.kolla.resources", {"payload": sent}, task_vars=task_vars)
            answer["changed"] = answer.get("changed", False) or applied["changed"]
            for key in ("done", "notes", "diff"):
                answer[key] = applied[key] + answer.get(key, [])
            applied = answer
        for note in applied["notes"] if not self._task.check_mode else []:
            Display().warning(note)
        return {**result, **applied}

# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name, with the secrets that it masks in messages sent as an opaque payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import to_plain
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering_action import secrets_in


class ActionModule(Action):
    """Thin glue between Ansible and the module."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        secrets = [*(to_plain(secret) for secret in args.get("secrets") or []), *secrets_in(task_vars)]
        module_args = {name: value for name, value in args.items() if name != "secrets"}
        module_args["payload"] = payload.dump(secrets)
        result.update(
            self._execute_module("qinling.kolla.container_probe", module_args=module_args, task_vars=task_vars)
        )
        return result

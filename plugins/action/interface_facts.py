# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Learns a host's addresses: by one command, and by Ansible's own facts where the host has no such command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._common import interfaces
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action

# How the module setup learns the same.
_SETUP = {"gather_subset": ["!all", "!min", "interfaces"]}


class ActionModule(Action):
    """Thin glue between Ansible and `interfaces`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        answer = self._low_level_execute_command(interfaces.COMMAND)
        found = interfaces.of_ip(answer["stdout"]) if answer["rc"] == 0 else None
        if found is None:
            gathered = dict(self._execute_module("ansible.builtin.setup", module_args=_SETUP, task_vars=task_vars))
            if "ansible_facts" not in gathered:
                return {**result, **gathered}
            found = interfaces.of_facts(gathered["ansible_facts"])
        # One fact, of a name of its own: what others gathered, and may have cached, stays as it is.
        return {**result, "changed": False, "ansible_facts": {"qinling_interfaces": found}}

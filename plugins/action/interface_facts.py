# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Learns a host's addresses: by one command, and by Ansible's own facts where the host has no such command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils import interfaces
from ansible_collections.qinling.kolla.plugins.plugin_utils.action_base import Action

# How the module setup learns the same.
_SETUP = {"gather_subset": ["!all", "!min", "interfaces"]}


class ActionModule(Action):
    """Thin glue between Ansible and `interfaces`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        answer = self._low_level_execute_command(interfaces.COMMAND)
        facts = interfaces.facts_of(answer["stdout"]) if answer["rc"] == 0 else None
        if facts is None:
            return {**result, **self._execute_module("ansible.builtin.setup", _SETUP, task_vars=task_vars)}
        return {**result, "changed": False, "ansible_facts": facts}

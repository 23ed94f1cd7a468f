# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather a host's addresses with one command, or with Ansible's facts where the host lacks this command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._common import interfaces
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action

# The fallback: options of the module setup that gather the same.
_SETUP = {"gather_subset": ["!all", "!min", "interfaces"]}


class ActionModule(Action):
    """Thin glue between Ansible and `interfaces`."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        output = self._low_level_execute_command(interfaces.COMMAND)
        found = interfaces.from_command(output["stdout"]) if output["rc"] == 0 else None
        if found is None:
            gathered = dict(self._execute_module("ansible.builtin.setup", module_args=_SETUP, task_vars=task_vars))
            if "ansible_facts" not in gathered:
                return {**result, **gathered}
            found = interfaces.from_facts(gathered["ansible_facts"])
        # A separate fact, so that gathered and cached facts stay unchanged.
        return {**result, "changed": False, "ansible_facts": {"qinling_interfaces": found}}

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What the action plugins have in common."""

from __future__ import annotations

import gc
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.action import ActionBase


class Action(ActionBase):
    """An action that knows check mode and copies no files by itself; its work is `act`."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        # Ansible ends this process with the task, so that nothing in it is worth a collection. They took half a CPU
        # second of the 3.6 that all actions take in a run without change.
        gc.disable()
        result: dict[str, Any] = super().run(tmp, task_vars)
        return self.act(result, self._task.args, {} if task_vars is None else task_vars)

    @abstractmethod
    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Takes a result to go on with, the task's options and all variables, returns the result."""


def option_problems(args: Mapping[str, Any], known: Iterable[str], required: Iterable[str]) -> list[str]:
    """Takes a task's options, their names, and those that need a value, returns what is wrong with them."""
    problems = [f"unknown option {name}" for name in sorted(set(args) - set(known))]
    return problems + [f"option {name} is missing" for name in required if not args.get(name)]

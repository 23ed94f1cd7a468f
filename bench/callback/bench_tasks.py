# SPDX-License-Identifier: Apache-2.0
"""Writes down which tasks were started, when, and on how many hosts."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: bench_tasks
type: aggregate
short_description: Tasks, with their seconds, as JSON
description:
  - At the end of a run, writes tasks in their order, how many of them were started on each host, and each host's sums,
    to the file of E(BENCH_TASKS).
author: the qinling.kolla authors
"""


class CallbackModule(CallbackBase):
    """Keeps a list of tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bench_tasks"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[dict[str, Any]] = []
        self._started: Counter[str] = Counter()
        self._changed: list[str] = []
        self._begin = time.time()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Take a task that starts."""
        self._tasks.append({"name": task.get_name(), "action": str(task.action), "start": time.time(), "hosts": 0})

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Take a handler that starts."""
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Take a host on which a task starts."""
        self._started[host.get_name()] += 1
        if self._tasks:
            self._tasks[-1]["hosts"] += 1

    def v2_runner_on_ok(self, result: Any) -> None:
        """Take the result of a task on a host."""
        if result.is_changed():
            self._changed.append(f"{result.host.get_name()}: {result.task.get_name()}")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Take the sums at the end, and write everything."""
        report = {
            "begin": self._begin,
            "end": time.time(),
            "tasks": self._tasks,
            "started": self._started,
            "changed": self._changed,
            "hosts": {host: stats.summarize(host) for host in stats.processed},
        }
        Path(os.environ["BENCH_TASKS"]).write_text(json.dumps(report))

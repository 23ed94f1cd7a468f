# SPDX-License-Identifier: Apache-2.0
"""Callback that records which tasks were started, when, and on how many hosts."""

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
short_description: Records tasks with their start times as JSON
description:
  - At the end of a run, writes the tasks in order, the number of tasks started on each host, and the summary of each
    host to the file of E(BENCH_TASKS).
author: the qinling.kolla authors
"""


class CallbackModule(CallbackBase):
    """Record the tasks of a run."""

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
        """Record the start of a task."""
        self._tasks.append({"name": task.get_name(), "action": str(task.action), "start": time.time(), "hosts": 0})

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Record the start of a handler."""
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Record the start of a task on a host."""
        self._started[host.get_name()] += 1
        if self._tasks:
            self._tasks[-1]["hosts"] += 1

    def v2_runner_on_ok(self, result: Any) -> None:
        """Record whether a task changed a host."""
        if result.is_changed():
            self._changed.append(f"{result.host.get_name()}: {result.task.get_name()}")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the report with the summaries of the hosts."""
        report = {
            "begin": self._begin,
            "end": time.time(),
            "tasks": self._tasks,
            "started": self._started,
            "changed": self._changed,
            "hosts": {host: stats.summarize(host) for host in stats.processed},
        }
        Path(os.environ["BENCH_TASKS"]).write_text(json.dumps(report))

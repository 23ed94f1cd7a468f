# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output for people: one line for each play, with its number, time and changes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: stdout
short_description: Print one line for each play of a playbook
version_added: 0.1.0
author:
  - the qinling.kolla authors (@qinling-kolla)
description:
  - Prints one line for each play, with its number, the time that it took and how many tasks changed something.
  - Warnings, failures and the messages of M(ansible.builtin.debug) are shown as Ansible shows them.
  - With C(-v) and above, the output is that of P(ansible.builtin.default#callback).
  - The commands of C(make) use it.
extends_documentation_fragment:
  - ansible.builtin.default_callback
  - ansible.builtin.result_format_callback
seealso:
  - plugin: ansible.builtin.default
    plugin_type: callback
requirements:
  - It must be set as C(stdout_callback) in C(ansible.cfg), or in the environment variable E(ANSIBLE_STDOUT_CALLBACK).
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default

# Actions whose result is a message for the user.
_MESSAGES = ("debug", "ansible.builtin.debug")
# Actions that ask the user, for which the line of the running step must end.
_PROMPTS = ("pause", "ansible.builtin.pause")


def duration(seconds: float) -> str:
    """Return a time in words: "8 s", "3 min 5 s" or "1 h 2 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def step_line(number: int, count: int, name: str, outcome: str = "") -> str:
    """Return the line of a step: "Step  7 of 19: Build the images (3 min 5 s, 4 changed)"."""
    line = f"Step {number:>{len(str(count))}} of {count}: {name}"
    return f"{line} ({outcome})" if outcome else line


def lines_of(message: Any) -> Iterator[str]:
    """Return the lines of a message, which is a text or a list of texts."""
    for part in message if isinstance(message, list) else [message]:
        yield from str(part).splitlines() or [""]


def _attribute(result: Any, name: str) -> Any:
    # Up to ansible-core 2.18, results, tasks and hosts have an underscore.
    return getattr(result, name) if hasattr(result, name) else getattr(result, f"_{name}")


def _with_verbosity(name: str) -> Callable[..., None]:
    """Return a method of Ansible's default callback that prints nothing without -v."""

    def method(self: CallbackModule, *arguments: Any) -> None:
        if self._verbose:
            getattr(Default, name)(self, *arguments)

    return method


class CallbackModule(Default):  # type: ignore[misc]
    """Print one line for each play; with -v, what Ansible's default callback prints."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "qinling.kolla.steps"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._number = 0
        self._name = self._play_id = ""
        self._started = self._play_started = time.monotonic()
        self._changed = 0
        self._unmatched = False
        # Whether the cursor is behind the line of the running step, on a terminal.
        self._open = False

    @property
    def _verbose(self) -> bool:
        return bool(self._display.verbosity)

    v2_playbook_on_include = _with_verbosity("v2_playbook_on_include")
    # The failures were printed.
    v2_playbook_on_no_hosts_remaining = _with_verbosity("v2_playbook_on_no_hosts_remaining")
    v2_runner_item_on_skipped = _with_verbosity("v2_runner_item_on_skipped")
    v2_runner_on_skipped = _with_verbosity("v2_runner_on_skipped")
    v2_runner_retry = _with_verbosity("v2_runner_retry")

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Count the plays."""
        self._count = len(playbook.get_plays())
        self._started = time.monotonic()
        super().v2_playbook_on_start(playbook)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """End the line of the previous play and begin that of this one."""
        if self._verbose:
            super().v2_playbook_on_play_start(play)
            return
        self._finish()
        self._play = play
        self._name = play.get_name().strip()
        # With `serial`, a play starts once for each batch of hosts.
        self._number += play._uuid != self._play_id
        self._play_id = play._uuid
        self._changed, self._unmatched, self._play_started = 0, False, time.monotonic()
        if sys.stdout.isatty():
            self._display.display(f"{step_line(self._number, self._count, self._name)} …", newline=False)
            self._open = True

    def _finish(self) -> None:
        """Print the line of the play that has ended."""
        if not self._name:
            return
        outcome = duration(time.monotonic() - self._play_started)
        outcome += f", {self._changed} changed" if self._changed else ""
        line = step_line(self._number, self._count, self._name, "nothing to do" if self._unmatched else outcome)
        color = constants.COLOR_SKIP if self._unmatched else constants.COLOR_CHANGED if self._changed else None
        self._display.display(f"\r\033[K{line}" if self._open else line, color=color)
        self._open, self._name = False, ""

    def _break_line(self) -> None:
        """Leave the line of the running step, as something else is about to be printed."""
        if self._open:
            self._display.display("")
            self._open = False

    def v2_playbook_on_vars_prompt(self, *_arguments: Any, **_options: Any) -> None:
        """End the line of the previous play, as a question follows."""
        self._finish()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Note that the play has nothing to do."""
        self._unmatched = True
        if self._verbose:
            super().v2_playbook_on_no_hosts_matched()

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        if task.action in _PROMPTS:
            self._break_line()
        if self._verbose:
            super()._task_start(task, prefix)
        else:
            self._last_task_name = task.get_name().strip()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Count a change; print warnings, and the message of a debug task."""
        if self._verbose:
            super().v2_runner_on_ok(result)
            return
        values = _attribute(result, "result")
        self._changed += bool(values.get("changed"))
        self._warn(result, values)
        task = _attribute(result, "task")
        if task.action in _MESSAGES and not task.loop:
            self._message(values)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Print warnings, and the message of a debug task's item."""
        if self._verbose:
            super().v2_runner_item_on_ok(result)
            return
        values = _attribute(result, "result")
        self._warn(result, values)
        if _attribute(result, "task").action in _MESSAGES:
            self._message(values)

    def _message(self, values: dict[str, Any]) -> None:
        shown = values["msg"] if "msg" in values else self._dump_results(values)
        self._break_line()
        for line in lines_of(shown):
            self._display.display(line)

    def _warn(self, result: Any, values: dict[str, Any]) -> None:
        if values.get("warnings") or values.get("deprecations"):
            self._break_line()
            if hasattr(self, "_handle_warnings_and_exception"):
                self._handle_warnings_and_exception(result)
            else:
                self._handle_warnings(values)

    def _show(self, method: Callable[..., None], *arguments: Any) -> None:
        if not self._verbose:
            self._break_line()
        method(*arguments)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Print a failure as Ansible does; one that the playbook ignores only with -v."""
        if self._verbose or not ignore_errors:
            self._show(super().v2_runner_on_failed, result, ignore_errors)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Print the failure of an item as Ansible does; one that the playbook ignores only with -v."""
        if self._verbose or not _attribute(result, "task").ignore_errors:
            self._show(super().v2_runner_item_on_failed, result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Print that a host cannot be reached, as Ansible does."""
        self._show(super().v2_runner_on_unreachable, result)

    def v2_on_file_diff(self, result: Any) -> None:
        """Print a difference as Ansible does, where --diff asks for it."""
        self._show(super().v2_on_file_diff, result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """End the last step, and print the whole time and the result of each host."""
        if self._verbose:
            super().v2_playbook_on_stats(stats)
            return
        self._finish()
        self._display.display(f"Finished in {duration(time.monotonic() - self._started)}.")
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            shown = {"ok": counts["ok"], "changed": counts["changed"], "failed": counts["failures"]}
            shown["unreachable"] = counts["unreachable"]
            failed = counts["failures"] or counts["unreachable"]
            text = ", ".join(f"{number} {name}" for name, number in shown.items() if number or name == "changed")
            self._display.display(f"{host}: {text}", color=constants.COLOR_ERROR if failed else None)

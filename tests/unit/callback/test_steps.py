# SPDX-License-Identifier: Apache-2.0
"""The callback steps, in real runs of ansible-playbook."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.qinling.kolla.plugins.callback import steps

PROJECT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- name: First
  hosts: one,two
  gather_facts: false
  serial: 1
  tasks:
    - name: Change
      ansible.builtin.command: "true"
    - name: Message
      ansible.builtin.debug:
        msg: ["Two lines:", "{{ inventory_hostname }}"]
    - name: Ignored
      ansible.builtin.command: "false"
      ignore_errors: true
      changed_when: false
    - name: Skipped
      ansible.builtin.command: "true"
      when: false
- name: No hosts
  hosts: nobody
  gather_facts: false
- name: Last
  hosts: one
  gather_facts: false
  tasks:
    - name: Warning
      warns:
    - name: Broken
      ansible.builtin.fail: {msg: "{{ reason }}"}
      when: reason != ""
"""

MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({})
module.warn("Take care")
module.exit_json()
"""


def environment(directory: Path) -> dict[str, str]:
    """Write the playbook and an empty configuration into a directory; return the environment of ansible-playbook."""
    (directory / "playbook.yml").write_text(PLAYBOOK)
    (directory / "ansible.cfg").write_text("")
    (directory / "library").mkdir()
    (directory / "library/warns.py").write_text(MODULE)
    return {
        **os.environ,
        "ANSIBLE_STDOUT_CALLBACK": "qinling.kolla.steps",
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
    }


def run(directory: Path, *arguments: str, reason: str = "") -> subprocess.CompletedProcess[str]:
    command = [
        "ansible-playbook",
        "-i",
        "one,two,",
        "-c",
        "local",
        "-e",
        f"reason='{reason}'",
        "playbook.yml",
        *arguments,
    ]
    return subprocess.run(
        command, cwd=directory, env=environment(directory), capture_output=True, text=True, check=False
    )


def times_hidden(text: str) -> str:
    return re.sub(r"\d+ s\b", "N s", text)


def test_each_play_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert times_hidden(done.stdout).splitlines() == [
        "Two lines:",
        "one",
        "Step 1 of 3: First (N s, 1 changed)",
        "Two lines:",
        "two",
        "Step 1 of 3: First (N s, 1 changed)",
        "Step 2 of 3: No hosts (nothing to do)",
        "Step 3 of 3: Last (N s)",
        "Finished in N s.",
        "one: 4 ok, 1 changed",
        "two: 3 ok, 1 changed",
    ]


def test_warnings_are_shown(tmp_path: Path) -> None:
    assert "[WARNING]: Take care" in run(tmp_path).stderr


def test_failures_are_shown_whole(tmp_path: Path) -> None:
    done = run(tmp_path, reason="The reason, in full")
    assert done.returncode == 2
    shown = done.stdout + done.stderr
    assert "TASK [Broken]" in shown
    assert "The reason, in full" in shown
    assert "Ignored" not in shown
    assert done.stdout.splitlines()[-2:] == ["one: 4 ok, 1 changed, 1 failed", "two: 3 ok, 1 changed"]


def test_verbose_output_is_that_of_ansible(tmp_path: Path) -> None:
    shown = run(tmp_path, "-v").stdout
    assert "Step 1" not in shown
    for part in ("PLAY [First]", "TASK [Change]", "...ignoring", "PLAY [No hosts]", "PLAY RECAP"):
        assert part in shown


def test_a_terminal_shows_the_running_step(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = ["ansible-playbook", "-i", "one,", "-c", "local", "-e", "reason=''", "playbook.yml"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while data := os.read(controller, 4096):
                shown += data
        except OSError:  # The terminal is closed.
            pass
    os.close(controller)
    assert process.returncode == 0
    assert "Step 2 of 3: No hosts …\r\x1b[KStep 2 of 3: No hosts (nothing to do)" in shown.decode()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599.9, "1 h 0 min"), (3725, "1 h 2 min")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert steps.duration(seconds) == expected


def test_step_line() -> None:
    assert steps.step_line(7, 19, "Build the images", "5 s") == "Step  7 of 19: Build the images (5 s)"
    assert steps.step_line(7, 9, "Build the images") == "Step 7 of 9: Build the images"


@pytest.mark.parametrize(
    ("message", "expected"),
    [("a\nb", ["a", "b"]), (["a", "b"], ["a", "b"]), ("", [""]), (["a", 1, ""], ["a", "1", ""])],
)
def test_lines_of(message: object, expected: list[str]) -> None:
    assert list(steps.lines_of(message)) == expected

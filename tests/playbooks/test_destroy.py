# SPDX-License-Identifier: Apache-2.0
"""The playbook destroy removes nothing without the operator's confirmation, on any selection of hosts."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from operator_directory import PROJECT, play
from test_bad_input import create_directory

HOST = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
REPORT = {
    "hosts": "localhost",
    "gather_facts": False,
    "vars": {"__settings_loaded": True},
    "tasks": [
        {"ansible.builtin.include_role": {"name": "qinling.kolla.site", "tasks_from": "report_destroy"}},
    ],
}
REFUSED = "nothing was removed, because destroy was not confirmed"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an operator's directory of a deployment that does not exist on this host."""
    folder = create_directory(tmp_path_factory.mktemp("operator") / "kolla")
    (folder / "inventory").write_text(f"[etcd]\ncontrol01 {HOST}\ncontrol02 {HOST}\n[qinling-api:children]\netcd\n")
    return folder


@pytest.mark.parametrize("arguments", [[], ["--limit", "control02"], ["--tags", "qinling", "--limit", "control02"]])
@pytest.mark.parametrize("answer", ["no", "Yes"])
def test_destroy_needs_the_answer_yes(operator: Path, arguments: list[str], answer: str) -> None:
    inventory = str(operator / "inventory")
    code, shown = play(operator, "destroy", *arguments, inventory=inventory, qinling_destroy_confirmed=answer)
    assert code != 0
    assert REFUSED in shown, shown[-3000:]
    assert "PLAY [Plan]" not in shown


@pytest.mark.parametrize(("answer", "refused"), [("no", True), ("", True), ("yes", False)])
def test_prompt_applies_with_a_limit_without_localhost(operator: Path, answer: str, refused: bool) -> None:
    extra_vars = json.dumps({"kolla_config_dir": str(operator)})
    command = [
        "ansible-playbook",
        "-i",
        str(operator / "inventory"),
        "-e",
        extra_vars,
        "--limit",
        "control02",
        "--check",
    ]
    controller, terminal = pty.openpty()
    os.write(controller, answer.encode() + b"\n")
    done = subprocess.run(
        [*command, "playbooks/destroy.yml"],
        cwd=PROJECT,
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(controller)
    os.close(terminal)
    shown = " ".join((done.stdout + done.stderr).split())
    assert "Type yes to continue" in shown, shown[-3000:]
    assert (REFUSED in shown) is refused, shown[-3000:]
    assert (done.returncode != 0) is refused, shown[-3000:]


@pytest.mark.parametrize(
    ("plan", "failed", "words"),
    [
        ({"leftovers": [], "findings": [], "retained_volumes": []}, False, ["ok=1 "]),
        (
            {"leftovers": [], "findings": [], "retained_volumes": ["volume kolla_logs (used by mariadb)"]},
            False,
            ["Not removed", "volume kolla_logs (used by mariadb)"],
        ),
        (
            {
                "leftovers": ["volume x still exists"],
                "findings": ["Docker answers with an error"],
                "retained_volumes": [],
            },
            True,
            ["could not remove everything on localhost: - volume x still exists - Docker answers with an error"],
        ),
    ],
    ids=["no leftovers", "retained volumes", "leftovers and a Docker error"],
)
def test_destroy_fails_if_leftovers_or_findings_remain(
    plan: dict[str, list[str]], failed: bool, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "play.yml").write_text(yaml.safe_dump([REPORT]))
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", json.dumps({"plan": plan})]
    done = subprocess.run(
        [*command, str(tmp_path / "play.yml")], cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False
    )
    shown = " ".join((done.stdout + done.stderr).split())
    assert (done.returncode != 0) is failed, shown[-3000:]
    assert not [word for word in words if word not in shown], shown[-3000:]

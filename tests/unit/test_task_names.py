# SPDX-License-Identifier: Apache-2.0
"""Names of plays and tasks: `Step | Verb object`, with a known verb and a concrete object, unique in their file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for pattern in (
        "roles/*/tasks/**/*.yml",
        "roles/*/handlers/*.yml",
        "playbooks/*.yml",
        "playbooks/tasks/*.yml",
        "molecule/*/*.yml",
    )
    for path in ROOT.glob(pattern)
    if path.name not in ("globals.yml", "molecule.yml")
)
VERBS = (
    *(
        "Add",
        "Append",
        "Apply",
        "Assert",
        "Back up",
        "Build",
        "Check",
        "Clean up",
        "Clone",
        "Collect",
        "Commit",
        "Compare",
        "Configure",
    ),
    *(
        "Connect",
        "Copy",
        "Create",
        "Deploy",
        "Download",
        "Ensure",
        "Fail if",
        "Gather",
        "Generate",
        "Get",
        "Group",
        "Import",
        "Include",
    ),
    *(
        "Inspect",
        "Install",
        "Join",
        "Leave",
        "List",
        "Load",
        "Migrate",
        "Pack",
        "Plan",
        "Poll",
        "Prepare",
        "Pull",
        "Push",
        "Read",
    ),
    *(
        "Record",
        "Register",
        "Reload",
        "Remove",
        "Render",
        "Replace",
        "Report",
        "Restart",
        "Restore",
        "Roll back",
        "Run",
        "Select",
        "Send",
    ),
    *("Set", "Show", "Skip", "Start", "Stop", "Unpack", "Update", "Validate", "Wait for", "Wait until", "Write"),
)
PRONOUNS = {"it", "them", "one", "this", "that", "those", "these", "others", "what", "which", "who"}
CHILDREN = ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always")


def name_error(name: str, *, is_play: bool = False) -> str:
    """Return what is wrong with a name, or an empty string. A play may have a title without step and verb."""
    step, separator, action = name.partition(" | ")
    if not re.match(r"[A-Z]", step):
        return "expected a capital letter at the beginning"
    if not separator:
        return "" if is_play else "expected 'Step | Verb object'"
    verb = next((verb for verb in VERBS if re.match(rf"{verb}\b", action)), None)
    if verb is None:
        return "unknown verb"
    words = re.findall(r"[\w'-]+|\{\{.*?\}\}", action.removeprefix(verb))
    # A condition is introduced by "whether": its subject is the object.
    words = words[1:] if words[:1] == ["whether"] else words
    if not words:
        return "no object"
    return next(
        (f"{word!r} is not a concrete object" for word in (words[0], words[-1]) if word.lower() in PRONOUNS), ""
    )


def plays_and_tasks(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for key in CHILDREN:
            yield from plays_and_tasks(entry.get(key) or [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_have_verb_and_object_and_are_unique(path: Path) -> None:
    entries = list(plays_and_tasks(yaml.safe_load(path.read_text())))
    assert entries
    names = [entry.get("name", "") for entry in entries]
    is_play = ["hosts" in entry or "ansible.builtin.import_playbook" in entry for entry in entries]
    errors = {
        name: error for name, play in zip(names, is_play, strict=True) if (error := name_error(name, is_play=play))
    }
    assert errors == {}
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_files_of_all_roles_are_checked() -> None:
    assert {path.parts[-3] for path in FILES if path.name == "main.yml"} >= {"etcd", "image", "qinling", "settings"}


@pytest.mark.parametrize(
    ("name", "is_play"),
    [
        ("Docker | Install the package", False),
        ("Check | Check whether an engine answers", False),
        ("Wait | Wait for {{ names | join(', ') }}", False),
        ("Destroy | Fail if leftovers remain", False),
        ("Migrate | Back up API and engine", False),
        ("Bootstrap servers", True),
        ("Prepare | Build the images", True),
    ],
)
def test_name_error_accepts_good_names(name: str, is_play: bool) -> None:
    assert name_error(name, is_play=is_play) == ""


@pytest.mark.parametrize(
    ("name", "is_play", "error"),
    [
        ("", False, "expected a capital letter at the beginning"),
        ("Install the package", False, "expected 'Step | Verb object'"),
        ("docker | Install the package", False, "expected a capital letter at the beginning"),
        ("Docker | Put one there", False, "unknown verb"),
        ("Build | Ask those that failed for their last words", False, "unknown verb"),
        ("Docker | Installation of the package", False, "unknown verb"),
        ("Docker | Install", False, "no object"),
        ("Docker | Install it", False, "'it' is not a concrete object"),
        ("Docker | Wait until it answers", False, "'it' is not a concrete object"),
        ("Docker | Check whether one answers", False, "'one' is not a concrete object"),
        ("Sample | Report what exists now", False, "'what' is not a concrete object"),
        ("Upgrade | Clean up the backups of others", False, "'others' is not a concrete object"),
        ("Prepare | Make the client certificate", True, "unknown verb"),
    ],
)
def test_name_error_reports_bad_names(name: str, is_play: bool, error: str) -> None:
    assert name_error(name, is_play=is_play) == error

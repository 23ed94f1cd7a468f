# SPDX-License-Identifier: Apache-2.0
"""Diff and result of the module config_files."""

from pathlib import Path

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import Change, DesiredFile, Outcome
from ansible_collections.qinling.kolla.plugins.modules import config_files

DIFFS = {
    "a directory": (Change("/r/a", "created"), {"prepared": "/r/a: created\n"}),
    "a new file": (
        Change("/r/a/f", "created", None, b"x = 1\n"),
        {"before": "", "after": "x = 1\n", "before_header": "/r/a/f (absent)", "after_header": "/r/a/f"},
    ),
    "a changed secret": (
        Change("/r/a/f", "changed", b"password = old\n", b"password = new\n"),
        {
            "before": "password = *** (before)\n",
            "after": "password = *** (after)\n",
            "before_header": "/r/a/f",
            "after_header": "/r/a/f",
        },
    ),
    "a secret file": (
        Change("/r/a/f", "changed", b"old\n", b"new\n", secret=True),
        {
            "before": "*** (secret, before)\n",
            "after": "*** (secret, after)\n",
            "before_header": "/r/a/f",
            "after_header": "/r/a/f",
        },
    ),
    "a binary file": (
        Change("/r/a/f", "changed", b"text", b"\xff\x00"),
        {
            "before": "*** (binary, before)\n",
            "after": "*** (binary, after)\n",
            "before_header": "/r/a/f",
            "after_header": "/r/a/f",
        },
    ),
    # A removed file may have been secret.
    "a removed file": (
        Change("/r/a/f", "removed", b"token\n"),
        {
            "before": "*** (removed, not shown)\n",
            "after": "",
            "before_header": "/r/a/f",
            "after_header": "/r/a/f (absent)",
        },
    ),
}


@pytest.mark.parametrize(("change", "expected"), DIFFS.values(), ids=DIFFS)
def test_diff(change: Change, expected: dict[str, str]) -> None:
    assert config_files.diff_of(change, []) == expected


def test_result_lists_changed_services() -> None:
    outcome = Outcome(
        [Change("/r", "created"), Change("/r/b", "created"), Change("/r/a/x/y", "changed")], ["/r/retained"]
    )
    result = config_files.result_of(outcome, {"a": [DesiredFile("f", 0o600, b"")]}, Path("/r"))
    assert result["changed"]
    assert result["changed_services"] == ["a", "b"]
    assert list(result["digests"]) == ["a"]
    assert result["retained"] == ["/r/retained"]
    assert not config_files.result_of(Outcome(), {}, Path("/r"))["changed"]


def test_identity() -> None:
    assert config_files.identity(None, "user") == -1
    assert config_files.identity("42", "group") == 42
    assert config_files.identity("root", "user") == 0
    with pytest.raises(KeyError):
        config_files.identity("nobody-of-this-name", "group")

# SPDX-License-Identifier: Apache-2.0
"""The registry of patches."""

import logging
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

from qinling_kolla import patches


def test_each_module_is_listed_once() -> None:
    listed = patches.START + patches.CONTROLLERS
    prefix = f"{patches.__name__}."
    found = [module.name for module in pkgutil.walk_packages(patches.__path__, prefix) if not module.ispkg]
    assert sorted(f"{prefix}{module}" for module in listed) == sorted(found)


@pytest.mark.parametrize("module", patches.START + patches.CONTROLLERS)
def test_each_patch_has_a_reason_and_is_applied(module: str, application: Any) -> None:
    patch = patches.load(module)
    assert patch.NAME
    assert patch.REASON
    assert "\n" not in patch.REASON
    assert not patch.needed()
    assert patches._outcomes[module].applied, "Qinling 5.0.0 on the locked libraries needs every patch"


def test_applying_twice_does_nothing(application: Any) -> None:
    assert patches.apply_all() == []


def test_report_logs_each_patch_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        patches, "_unreported", [patches.Outcome("a thing", True, "it broke"), patches.Outcome("other", False, "-")]
    )
    with caplog.at_level(logging.INFO, logger=patches.__name__):
        patches.report()
        patches.report()
    assert caplog.messages == ["Patched a thing: it broke", "Patch not needed: other"]


def test_an_unneeded_patch_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patch:
        NAME, REASON = "n", "r"
        applied = False

        def needed(self) -> bool:
            return False

        def apply(self) -> None:
            self.applied = True

    patch = Patch()
    monkeypatch.setattr(patches, "load", lambda module: patch)
    monkeypatch.setattr(patches, "_outcomes", {})
    monkeypatch.setattr(patches, "_unreported", [])
    assert patches.apply_stage(["x"]) == [patches.Outcome("n", False, "r")]
    assert not patch.applied


def test_only_applying_changes_libraries() -> None:
    program = (
        "import tenacity, qinling_kolla, qinling_kolla.config, qinling_kolla.worker\n"
        "from qinling_kolla import patches\n"
        "assert not hasattr(tenacity.Retrying, 'call')\n"
        "outcomes = patches.apply_all()\n"
        "assert hasattr(tenacity.Retrying, 'call')\n"
        "assert 'qinling.api.controllers.root' not in __import__('sys').modules\n"
        "print(len(outcomes))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == len(patches.START)

# SPDX-License-Identifier: Apache-2.0
"""The registry of mends."""

import logging
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

from qinling_kolla import mends


def test_each_module_is_listed_once() -> None:
    listed = mends.START + mends.CONTROLLERS
    assert sorted(listed) == sorted(module.name for module in pkgutil.iter_modules(mends.__path__))


@pytest.mark.parametrize("module", mends.START + mends.CONTROLLERS)
def test_each_mend_says_what_it_does_and_is_done(module: str, application: Any) -> None:
    mend = mends.load(module)
    assert mend.NAME and mend.REASON and "\n" not in mend.REASON
    assert not mend.needed()
    assert mends._outcomes[module].applied, "Qinling 5.0.0 on the locked libraries needs every one of them"


def test_again_does_nothing(application: Any) -> None:
    assert mends.apply_all() == []


def test_report_logs_each_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        mends, "_unreported", [mends.Outcome("a thing", True, "it broke"), mends.Outcome("other", False, "-")]
    )
    with caplog.at_level(logging.INFO, logger=mends.__name__):
        mends.report()
        mends.report()
    assert caplog.messages == ["Mended a thing: it broke", "Not needed here: mend of other"]


def test_a_mend_that_is_not_needed_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mend:
        NAME, REASON = "n", "r"
        applied = False

        def needed(self) -> bool:
            return False

        def apply(self) -> None:
            self.applied = True

    mend = Mend()
    monkeypatch.setattr(mends, "load", lambda module: mend)
    monkeypatch.setattr(mends, "_outcomes", {})
    monkeypatch.setattr(mends, "_unreported", [])
    assert mends.apply_stage(["x"]) == [mends.Outcome("n", False, "r")]
    assert not mend.applied


def test_importing_changes_nothing_and_applying_does() -> None:
    program = (
        "import tenacity, qinling_kolla, qinling_kolla.config, qinling_kolla.worker\n"
        "from qinling_kolla import mends\n"
        "assert not hasattr(tenacity.Retrying, 'call')\n"
        "outcomes = mends.apply_all()\n"
        "assert hasattr(tenacity.Retrying, 'call')\n"
        "assert 'qinling.api.controllers.root' not in __import__('sys').modules\n"
        "print(len(outcomes))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(mends.START)

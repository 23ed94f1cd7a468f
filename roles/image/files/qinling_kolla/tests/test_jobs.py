# SPDX-License-Identifier: Apache-2.0
"""The election of the job handler, with real processes and a real lock."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from qinling_kolla import jobs

MEMBER = """
import sys, time
from qinling_kolla import jobs

def work():
    with open(sys.argv[2], "a") as file:
        file.write(f"{sys.argv[3]}\\n")
    time.sleep(600)

jobs.start(sys.argv[1], work)
time.sleep(600)
"""


def wait_for(condition: Any, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "timeout"
        time.sleep(0.02)


@pytest.fixture
def members(tmp_path: pathlib.Path) -> Iterator[Any]:
    processes = []

    def start(name: Any) -> Any:
        command = [sys.executable, "-c", MEMBER, str(tmp_path / "lock"), str(tmp_path / "ran"), name]
        processes.append(subprocess.Popen(command))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_one_process_works_and_another_takes_over(members: Any, tmp_path: pathlib.Path, how: Any) -> None:
    ran = tmp_path / "ran"
    first = members("first")
    wait_for(ran.exists)
    second, third = members("second"), members("third")
    time.sleep(1.0)
    assert ran.read_text() == "first\n"

    first.send_signal(how)
    first.wait()
    wait_for(lambda: ran.read_text().count("\n") == 2)
    time.sleep(0.3)
    heirs = ran.read_text().splitlines()[1:]
    assert heirs in (["second"], ["third"])
    assert second.poll() is None
    assert third.poll() is None


class EnoughError(Exception):
    """Exception that ends an endless loop."""


def test_failed_lock_is_logged_and_retried(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "missing" / "lock"
    events = []

    def sleep(seconds: Any) -> None:
        events.append(f"slept {seconds:g}")
        if path.exists():
            raise EnoughError
        path.parent.mkdir()

    with pytest.raises(EnoughError):
        jobs.run_elected(str(path), lambda: events.append("worked"), sleep)
    assert events == ["slept 30", "worked", "slept 30"]
    assert "No such file or directory" in caplog.text
    assert str(path) in caplog.text


def test_failed_work_is_restarted(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[None] = []

    def work() -> None:
        attempts.append(None)
        raise ValueError("broken")

    def sleep(seconds: Any) -> None:
        if len(attempts) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        jobs.run_elected(str(tmp_path / "lock"), work, sleep)
    assert caplog.text.count("The job handler failed") == 3


def test_lock_file_is_not_world_readable(tmp_path: pathlib.Path) -> None:
    descriptor = jobs.acquire(str(tmp_path / "lock"))
    try:
        assert os.fstat(descriptor).st_mode & 0o007 == 0
    finally:
        os.close(descriptor)

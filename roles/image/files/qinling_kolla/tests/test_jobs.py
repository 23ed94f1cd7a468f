# SPDX-License-Identifier: Apache-2.0
"""The election of the job handler, with real processes and a real lock."""

import os
import signal
import subprocess
import sys
import time

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


def wait_for(condition, seconds=15.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def members(tmp_path):
    processes = []

    def start(name):
        command = [sys.executable, "-c", MEMBER, str(tmp_path / "lock"), str(tmp_path / "ran"), name]
        processes.append(subprocess.Popen(command))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_one_of_many_works_and_another_takes_over(members, tmp_path, how):
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
    """Ends an endless loop."""


def test_a_lock_that_cannot_be_taken_is_told_and_tried_again(tmp_path, caplog):
    path = tmp_path / "missing" / "lock"
    events = []

    def sleep(seconds):
        events.append(f"slept {seconds:g}")
        if path.exists():
            raise EnoughError
        path.parent.mkdir()

    with pytest.raises(EnoughError):
        jobs.run_elected(str(path), lambda: events.append("worked"), sleep)
    assert events == ["slept 30", "worked", "slept 30"]
    assert "No such file or directory" in caplog.text
    assert str(path) in caplog.text


def test_work_that_fails_is_begun_again(tmp_path, caplog):
    attempts = []

    def work():
        attempts.append(None)
        raise ValueError("broken")

    def sleep(seconds):
        if len(attempts) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        jobs.run_elected(str(tmp_path / "lock"), work, sleep)
    assert caplog.text.count("The job handler failed") == 3


def test_the_lock_file_is_not_for_everybody(tmp_path):
    descriptor = jobs.acquire(str(tmp_path / "lock"))
    try:
        assert os.fstat(descriptor).st_mode & 0o007 == 0
    finally:
        os.close(descriptor)

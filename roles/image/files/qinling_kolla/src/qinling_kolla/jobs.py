# SPDX-License-Identifier: Apache-2.0
"""One job handler per host, run by the API process that holds a file lock.

Qinling starts a handler in each process that loads its API, and each queries due jobs every 3 s. The kernel releases
the lock when its process ends, even after a crash, and another process acquires it.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable

LOG = logging.getLogger(__name__)

RETRY_SECONDS = 30.0


def acquire(path: str) -> int:
    """Wait for the lock of the file ``path``; return the file descriptor that holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def run_elected(path: str, work: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Acquire the lock for the lifetime of this process and call ``work`` whenever it fails or returns."""
    while True:
        try:
            acquire(path)
            break
        except OSError as error:
            LOG.error(
                "No job runs from this process: cannot lock %s ([api] job_handler_lock): %s; next attempt in %d s",
                path,
                error.strerror,
                RETRY_SECONDS,
            )
        sleep(RETRY_SECONDS)
    while True:
        LOG.info("This process runs the job handler (lock %s)", path)
        try:
            work()
        except Exception:
            LOG.exception("The job handler failed")
        sleep(RETRY_SECONDS)


def handle_jobs() -> None:
    """Run Qinling's job handler in this thread until it stops."""
    from futurist import periodics as futurist_periodics
    from qinling import rpc
    from qinling.services import periodics
    from qinling.utils import constants

    worker = futurist_periodics.PeriodicWorker([])
    worker.add(periodics.handle_job, engine_client=rpc.get_engine_client())
    periodics._periodic_tasks[constants.PERIODIC_JOB_HANDLER] = worker
    worker.start()


def start(path: str, work: Callable[[], None] = handle_jobs) -> threading.Thread:
    """Start a thread that takes part in the election; return it."""
    thread = threading.Thread(target=run_elected, args=(path, work), name="job-handler", daemon=True)
    thread.start()
    return thread

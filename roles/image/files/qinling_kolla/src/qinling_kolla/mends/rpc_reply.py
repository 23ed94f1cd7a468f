# SPDX-License-Identifier: Apache-2.0
"""oslo.messaging looks for a reply every half second: 0.5 s of each synchronous execution.

Its waiter polls a queue because blocking on it hung processes in which eventlet had patched the threads (Launchpad
2035113). Where threads are real, as in this package's commands, blocking is safe and answers at once.
"""

import inspect
import queue
import sys
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import amqpdriver

NAME = "half a second in each RPC call"
REASON = "oslo.messaging polls for replies every 0.5 s although threads can wait"


def get(self: Any, msg_id: str, timeout: float | None) -> Any:
    """Return the next reply to a message as soon as it is there; replaces ``ReplyWaiters.get``."""
    try:
        return self._queues[msg_id].get(timeout=None if timeout is None else max(timeout, 0))
    except queue.Empty:
        raise oslo_messaging.MessagingTimeout(f"Timed out waiting for a reply to message ID {msg_id}") from None


def _threads_are_real() -> bool:
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is None or not patcher.is_monkey_patched("thread")


def needed() -> bool:
    """Tell whether the waiter polls although threads are real."""
    waiters = getattr(amqpdriver, "ReplyWaiters", None)
    return waiters is not None and _threads_are_real() and "sleep(" in inspect.getsource(waiters.get)


def apply() -> None:
    """Wait instead of polling."""
    amqpdriver.ReplyWaiters.get = get

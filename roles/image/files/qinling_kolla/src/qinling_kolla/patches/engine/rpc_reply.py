# SPDX-License-Identifier: Apache-2.0
"""oslo.messaging polls for a reply every half second, which delays each synchronous execution.

It polls because a blocking read hung processes whose threads eventlet had patched (Launchpad 2035113). With native
threads, as in this package's commands, a blocking read is safe and returns at once.
"""

import inspect
import queue
import sys
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import amqpdriver

NAME = "polling for RPC replies"
REASON = "oslo.messaging polls every 0.5 s although native threads can block"


def get(self: Any, msg_id: str, timeout: float | None) -> Any:
    """Return the next reply to a message as soon as it arrives; replaces ``ReplyWaiters.get``."""
    try:
        return self._queues[msg_id].get(timeout=None if timeout is None else max(timeout, 0))
    except queue.Empty:
        raise oslo_messaging.MessagingTimeout(f"Timed out waiting for a reply to message ID {msg_id}") from None


def _has_native_threads() -> bool:
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is None or not patcher.is_monkey_patched("thread")


def needed() -> bool:
    """Return whether oslo.messaging polls although threads are native."""
    waiters = getattr(amqpdriver, "ReplyWaiters", None)
    return waiters is not None and _has_native_threads() and "sleep(" in inspect.getsource(waiters.get)


def apply() -> None:
    """Block instead of polling."""
    amqpdriver.ReplyWaiters.get = get

# SPDX-License-Identifier: Apache-2.0
"""A synchronous execution was cut at rpc_response_timeout (60 s), although a function may run for max_timeout (300 s).

The call may now take as long as an execution can. oslo.messaging's call monitor watches meanwhile that the engine
lives: the engine sends heartbeats, and when none comes for rpc_response_timeout the call fails and the execution ends
in error. The text of the exception that a failed call raises can be shown to users as the reason.
"""

import time
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_log import log as logging
from qinling import context, rpc
from qinling import exceptions as exc

from qinling_kolla.mends import stuck_executions

NAME = "time limit of synchronous executions"
REASON = "they were cut at rpc_response_timeout"

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

_original = rpc.EngineClient.create_execution


class NotExecuted(exc.QinlingException):
    """No engine reported how an execution ended; the text says why."""


def reason(error: Exception, seconds: float) -> str:
    """Return why a request to an engine failed, in words without names of hosts or queues.

    Args:
        error: What the request raised.
        seconds: How long it took until then.
    """
    if isinstance(error, oslo_messaging.MessagingTimeout):
        return f"No answer from an engine within {seconds:.0f} s"
    if isinstance(error, oslo_messaging.RemoteError):
        return "The engine failed"
    return "The message queue did not take the request"


def create_execution(
    self: Any,
    execution_id: str,
    function_id: str,
    version: int,
    runtime_id: str | None,
    input: Any = None,
    is_sync: bool = True,
) -> None:
    """Let an engine run an execution; wait for its end when ``is_sync``. Raises NotExecuted."""
    target: dict[str, Any] = {"topic": self.topic, "server": None}
    if is_sync:
        target |= {
            "timeout": stuck_executions.age_limit(None),
            "call_monitor_timeout": CONF.rpc_response_timeout,
        }
    client = self._client.prepare(**target)
    start = time.monotonic()
    try:
        (client.call if is_sync else client.cast)(
            context.get_ctx(),
            "create_execution",
            execution_id=execution_id,
            function_id=function_id,
            function_version=version,
            runtime_id=runtime_id,
            input=input,
        )
    except Exception as error:
        LOG.exception("The request to run execution %s failed", execution_id)
        raise NotExecuted(reason(error, time.monotonic() - start)) from None


def needed() -> bool:
    """Tell whether Qinling's own method is in place."""
    return rpc.EngineClient.create_execution is _original


def apply() -> None:
    """Replace it."""
    rpc.EngineClient.create_execution = create_execution

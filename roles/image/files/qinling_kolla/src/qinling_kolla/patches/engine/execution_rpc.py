# SPDX-License-Identifier: Apache-2.0
"""Synchronous executions ended at rpc_response_timeout (60 s), although a function may run for max_timeout (300 s).

The call may now take as long as an execution can. oslo.messaging's call monitor checks that the engine is alive: the
engine sends heartbeats, and if none arrives for rpc_response_timeout the call fails and the execution ends in error.
The text of the exception raised by a failed call can be shown to users.
"""

import time
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_log import log as logging
from qinling import context, rpc
from qinling import exceptions as exc

from qinling_kolla.patches.engine import stuck_executions

NAME = "time limit of synchronous executions"
REASON = "they ended at rpc_response_timeout"

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

_original = rpc.EngineClient.create_execution


class NotExecuted(exc.QinlingException):
    """No engine reported how an execution ended; the text contains the reason."""


def reason(error: Exception, seconds: float) -> str:
    """Return why a request to an engine failed after ``seconds``, without names of hosts or queues."""
    if isinstance(error, oslo_messaging.MessagingTimeout):
        return f"No answer from an engine within {seconds:.0f} s"
    if isinstance(error, oslo_messaging.RemoteError):
        return "The engine failed"
    return "The message queue did not accept the request"


def create_execution(
    self: Any,
    execution_id: str,
    function_id: str,
    version: int,
    runtime_id: str | None,
    input: Any = None,
    is_sync: bool = True,
) -> None:
    """Run an execution in an engine; wait for its end if ``is_sync``. Raise NotExecuted if no engine reports."""
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
    """Return whether Qinling's own method is in use."""
    return rpc.EngineClient.create_execution is _original


def apply() -> None:
    """Replace Qinling's method."""
    rpc.EngineClient.create_execution = create_execution

# SPDX-License-Identifier: Apache-2.0
"""A synchronous execution was cut at rpc_response_timeout (60 s), although a function may run for max_timeout (300 s).

The call may now take as long as an execution can. oslo.messaging's call monitor watches meanwhile that the engine
lives: the engine sends heartbeats, and when none comes for rpc_response_timeout the call fails and the execution ends
in error.
"""

from typing import Any

from oslo_config import cfg
from qinling import context, rpc

from qinling_kolla.mends import stuck_executions

NAME = "time limit of synchronous executions"
REASON = "they were cut at rpc_response_timeout"

CONF = cfg.CONF

_original = rpc.EngineClient.create_execution


@rpc.wrap_messaging_exception
def create_execution(
    self: Any,
    execution_id: str,
    function_id: str,
    version: int,
    runtime_id: str | None,
    input: Any = None,
    is_sync: bool = True,
) -> Any:
    """Let an engine run an execution; wait for its end when ``is_sync``."""
    if not is_sync:
        return _original(self, execution_id, function_id, version, runtime_id, input=input, is_sync=False)
    client = self._client.prepare(
        topic=self.topic,
        server=None,
        timeout=stuck_executions.age_limit(None),
        call_monitor_timeout=CONF.rpc_response_timeout,
    )
    return client.call(
        context.get_ctx(),
        "create_execution",
        execution_id=execution_id,
        function_id=function_id,
        function_version=version,
        runtime_id=runtime_id,
        input=input,
    )


def needed() -> bool:
    """Tell whether Qinling's own method is in place."""
    return rpc.EngineClient.create_execution is _original


def apply() -> None:
    """Replace it."""
    rpc.EngineClient.create_execution = create_execution

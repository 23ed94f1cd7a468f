# SPDX-License-Identifier: Apache-2.0
"""Measures the parts of an invocation inside a container of Qinling, whose Python reads this file from stdin.

    python - api|engine FUNCTION ROUNDS     prints one line: PROBE {"part": [seconds, ...], ...}

Each part calls the service's code with its configuration, one part after the other, and deletes the data that it
writes. The function must have a worker.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
import uuid
from collections.abc import Callable
from typing import Any

Samples = dict[str, list[float]]
MARK = "PROBE "
CONFIGURATION = "/etc/qinling/qinling.conf"
PAUSE_SECONDS = 0.05


def timed(samples: Samples, part: str, action: Callable[[], Any], rounds: int) -> Any:
    """Add the durations of `rounds` calls to `samples`, after one that is not measured; return the last result."""
    answer = action()
    for _number in range(rounds):
        # Workers have a limit of CPU time per 0.1 s, which must not affect a single invocation.
        time.sleep(PAUSE_SECONDS)
        begin = time.perf_counter()
        answer = action()
        samples.setdefault(part, []).append(time.perf_counter() - begin)
    return answer


def probe_api(function: Any, rounds: int) -> Samples:
    """Measure the API's parts of an invocation, without HTTP and the token: its database work, and an RPC call."""
    import oslo_messaging
    from oslo_config import cfg
    from qinling import context, rpc
    from qinling.db import api as db_api
    from qinling.utils import executions

    samples: Samples = {}
    engine = types.SimpleNamespace(create_execution=lambda *_unused, **__: None)
    created: list[str] = []

    def record() -> None:
        created.append(executions.create_execution(engine, {"function_id": function.id, "input": "{}"}).id)

    try:
        timed(samples, "API: database", record, rounds)
    finally:
        for execution in created:
            db_api.delete_execution(execution)

    # A separate exchange and queue, which are deleted with their consumer.
    transport = oslo_messaging.get_rpc_transport(cfg.CONF)
    cfg.CONF.set_override("amqp_auto_delete", True, group="oslo_messaging_rabbit")
    topic = f"qinling-bench-{uuid.uuid4()}"
    serializer = rpc.ContextSerializer(oslo_messaging.JsonPayloadSerializer())
    server = oslo_messaging.get_rpc_server(
        transport,
        oslo_messaging.Target(exchange=topic, topic=topic, server="bench"),
        [types.SimpleNamespace(nothing=lambda ctx, **_unused: None)],
        executor="threading",
        access_policy=oslo_messaging.rpc.dispatcher.DefaultRPCAccessPolicy,
        serializer=serializer,
    )
    server.start()
    client = oslo_messaging.get_rpc_client(
        transport, oslo_messaging.Target(exchange=topic, topic=topic), serializer=serializer
    ).prepare(timeout=30, call_monitor_timeout=10)
    try:
        timed(samples, "RPC: API to engine and back", lambda: client.call(context.get_ctx(), "nothing", x=1), rounds)
    finally:
        server.stop()
        server.wait()
        transport.cleanup()
    return samples


def probe_engine(function: Any, rounds: int) -> Samples:
    """Measure the engine's parts of an invocation, and the worker's response."""
    from oslo_config import cfg
    from qinling import status
    from qinling.db import api as db_api
    from qinling.engine import default_engine, utils
    from qinling.orchestrator import base
    from qinling.utils.openstack import keystone
    from qinling_kolla import invocation, worker

    samples: Samples = {}
    conf = cfg.CONF
    endpoint = keystone.get_qinling_endpoint()
    engine = default_engine.DefaultEngine(base.load_orchestrator(conf, endpoint), endpoint)
    _unused, running = timed(
        samples, "engine: database, function and load", lambda: invocation.load_function(function.id, 0), rounds
    )
    url = timed(
        samples,
        "engine: etcd, workers and address",
        lambda: invocation.address_of(engine, function.id, 0, function.runtime_id, running),
        rounds,
    )
    limits = {"cpu": function.cpu, "memory_size": function.memory_size}

    def body() -> dict[str, Any]:
        data: dict[str, Any] = utils.get_request_data(
            conf,
            function.id,
            0,
            "00000000-0000-4000-8000-000000000000",
            limits,
            {},
            function.entry,
            function.trust_id,
            endpoint,
            function.timeout,
        )
        return data

    request = timed(samples, "engine: trust token, kept", body, rounds)
    request |= invocation.package_state(function, 0)
    timed(
        samples,
        "ping, which only a cold invocation needs",
        lambda: worker.ping(engine.session, f"{url}/execute"),
        rounds,
    )

    def post() -> Any:
        with engine.session.post(f"{url}/execute", json=request, timeout=(3, 60), stream=True) as response:
            answer = json.loads(response.raw.read(decode_content=True))
        if not answer.get("success"):
            raise RuntimeError(f"the worker returned status {response.status_code}: {answer.get('output')}")
        return answer

    timed(samples, "worker: its answer (floor)", post, rounds)
    durations: list[float] = [post()["duration"] for _number in range(rounds)]
    samples["worker: the function itself"] = durations

    execution = db_api.create_execution(
        {"function_id": function.id, "function_version": 0, "status": status.SUCCESS, "sync": True}
    )
    number = iter(range(10**6))
    try:
        timed(
            samples,
            "engine: database, the result",
            lambda: utils.finish_execution(execution.id, True, {"output": next(number), "duration": 0, "logs": ""}),
            rounds,
        )
    finally:
        db_api.delete_execution(execution.id)
    return samples


def main() -> None:
    """Load the service's configuration, act as the function's owner, and measure."""
    side, function_id, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    from qinling_kolla.cmd import start

    start.parse(["--config-file", CONFIGURATION])
    from qinling import context
    from qinling.db import api as db_api
    from qinling.utils.openstack import keystone

    context.set_ctx(context.Context(is_admin=True))
    function = db_api.get_function(function_id, insecure=True)
    context.set_ctx(keystone.create_trust_context(function.trust_id, function.project_id))
    samples = (probe_api if side == "api" else probe_engine)(function, rounds)
    print(MARK + json.dumps(samples), flush=True)
    # The threads of driver and queue do not end.
    os._exit(0)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""qinling-engine: Qinling's engine with a health listener beside it."""

import logging
import sys
from typing import Any

from oslo_config import cfg

from qinling_kolla import health
from qinling_kolla.cmd import start

LOG = logging.getLogger(__name__)


def _starting() -> None:
    raise health.Unhealthy("the RPC server has not started")


def watch(conf: cfg.ConfigOpts) -> tuple[health.Health, health.Queue]:
    """Start answering health checks on [engine] health_socket; return what to add further checks to."""
    checks, queue = health.common_checks(conf)
    state = health.Health({**checks, "rpc": _starting})
    try:
        health.Listener(conf.engine.health_socket, state).start()
    except OSError as error:
        LOG.error("No health listener on %s ([engine] health_socket): %s", conf.engine.health_socket, error.strerror)
    return state, queue


def watch_served(state: health.Health, queue: health.Queue, conf: cfg.ConfigOpts, orchestrator: Any) -> None:
    """Add what can be checked once the RPC server was started."""
    if queue.supported:
        state.add("rpc", queue.consumer_check(f"{conf.engine.topic}.{conf.engine.host}"))
    else:
        state.add("rpc", lambda: None)
    check = health.orchestrator_check(orchestrator)
    if check:
        state.add("orchestrator", check)


def serve(conf: cfg.ConfigOpts) -> None:
    """Serve until stopped, as Qinling's own command does."""
    import cotyledon
    from cotyledon import oslo_config_glue
    from qinling.engine import service as engine_service
    from qinling.orchestrator import base as orchestrator_base

    class Engine(engine_service.EngineService):  # type: ignore[misc]  # Qinling has no type information
        """Qinling's engine in its own process, which also answers for its health."""

        name = "engine"

        def run(self) -> None:
            state, queue = watch(conf)
            super().run()
            watch_served(state, queue, conf, orchestrator_base.ORCHESTRATOR)

    manager = cotyledon.ServiceManager()
    manager.add(Engine, workers=1)
    oslo_config_glue.setup(manager, conf, reload_method="mutate")
    manager.run()


def main() -> int:
    """Run the engine; return the exit code."""
    return start.run("qinling-engine", serve)


if __name__ == "__main__":
    sys.exit(main())

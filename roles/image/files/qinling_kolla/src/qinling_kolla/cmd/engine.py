# SPDX-License-Identifier: Apache-2.0
"""qinling-engine: Qinling's engine with a health listener."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from qinling_kolla import health
from qinling_kolla.cmd import start

LOG = logging.getLogger(__name__)


RETRY_SECONDS = 10.0


def _starting() -> None:
    raise health.UnhealthyError("the engine has not started yet; see its log")


def start_with_retries(
    begin: Callable[[], None], may_retry: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Call ``begin`` until it succeeds, with a pause after each failure; re-raise once ``may_retry`` returns False.

    Without it, Qinling's engine exits if Keystone or the orchestrator does not answer at its start.
    """
    while True:
        try:
            begin()
        except Exception as error:
            if not may_retry():
                raise
            LOG.debug("Failed start", exc_info=True)
            reason = f"{type(error).__name__}: {error}"
        else:
            return
        LOG.error("The engine cannot start: %s; next attempt in %d s", reason, RETRY_SECONDS)
        sleep(RETRY_SECONDS)


def watch(conf: cfg.ConfigOpts) -> tuple[health.Health, health.Queue]:
    """Serve health checks on [engine] health_socket; return the health and queue objects for further checks."""
    checks, queue = health.common_checks(conf)
    state = health.Health({**checks, "rpc": _starting})
    try:
        health.Listener(conf.engine.health_socket, state).start()
    except OSError as error:
        LOG.error("No health listener on %s ([engine] health_socket): %s", conf.engine.health_socket, error.strerror)
    return state, queue


def watch_served(state: health.Health, queue: health.Queue, conf: cfg.ConfigOpts, orchestrator: Any) -> None:
    """Add the checks that need a running RPC server."""
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

    class Engine(engine_service.EngineService):
        """Qinling's engine in its own process, with its health checks."""

        name = "engine"

        def run(self) -> None:
            state, queue = watch(conf)
            start_with_retries(super().run, lambda: self.server is None)
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

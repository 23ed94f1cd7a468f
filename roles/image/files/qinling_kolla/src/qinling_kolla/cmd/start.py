# SPDX-License-Identifier: Apache-2.0
"""What API and engine do before they serve: mends, configuration, logging, and a look at the database."""

import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg

from qinling_kolla import database, logs, mends

LOG = logging.getLogger(__name__)


def parse(arguments: Sequence[str]) -> cfg.ConfigOpts:
    """Apply the mends and parse the configuration (``--config-file``, default /etc/qinling/qinling.conf); return it."""
    mends.apply_all()
    database.forbid_table_creation()
    from qinling import config as qinling_config

    qinling_config.parse_args(args=list(arguments))
    conf = cfg.CONF
    # Engines of several hosts need names of their own; Qinling's default is 0.0.0.0 for all.
    conf.set_default("host", socket.gethostname(), group="engine")
    return conf


def check_database(conf: cfg.ConfigOpts, wait: Callable[[str], database.Finding] = database.wait) -> None:
    """Wait until the database answers; raise RuntimeError with an explanation unless it is migrated."""
    finding = wait(conf.database.connection)
    if finding.state is database.State.CURRENT:
        return
    lines = [*finding.lines(), "Services start only on a migrated database and never change its tables."]
    raise RuntimeError("\n".join(lines))


def run(service: str, serve: Callable[[cfg.ConfigOpts], None], arguments: Sequence[str] | None = None) -> int:
    """Prepare, then ``serve``; return the exit code: 1, after a message, where the service must not start."""
    # The first process of a container has no default handlers for signals.
    signal.signal(signal.SIGTERM, _end)
    try:
        conf = parse(sys.argv[1:] if arguments is None else arguments)
        logs.setup(service, conf)
        mends.report()
        check_database(conf)
        # What is there now stays. Processes share it with the ones that they fork as long as nobody writes to it, which
        # the collector of garbage would do.
        gc.collect()
        gc.freeze()
        serve(conf)
        return 0
    except (RuntimeError, cfg.Error) as error:
        message = str(error)
    # Outside of the handler, where oslo.log would add the whole message to each line once more.
    if logging.getLogger().handlers:
        for line in message.splitlines():
            LOG.critical("%s", line)
    else:
        print(f"{service}: {message}", file=sys.stderr)
    return 1


def _end(number: int, frame: Any) -> None:
    sys.exit(0)

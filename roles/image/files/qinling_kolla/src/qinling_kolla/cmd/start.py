# SPDX-License-Identifier: Apache-2.0
"""Startup of API and engine: patches, configuration, logging, and a check of the database."""

import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg

from qinling_kolla import database, logs, patches

LOG = logging.getLogger(__name__)


def parse(arguments: Sequence[str]) -> cfg.ConfigOpts:
    """Apply the patches, then parse and return the configuration (``--config-file``, /etc/qinling/qinling.conf)."""
    patches.apply_all()
    database.forbid_table_creation()
    from qinling import config as qinling_config

    qinling_config.parse_args(args=list(arguments))
    conf = cfg.CONF
    # The engine of each host needs its own name; Qinling's default is 0.0.0.0 everywhere.
    conf.set_default("host", socket.gethostname(), group="engine")
    return conf


def check_database(conf: cfg.ConfigOpts, wait: Callable[[str], database.Finding] = database.wait) -> None:
    """Wait until the database answers; raise RuntimeError with the finding unless it is migrated."""
    finding = wait(conf.database.connection)
    if finding.state is database.State.CURRENT:
        return
    lines = [*finding.lines(), "Services start only on a migrated database and never change its tables."]
    raise RuntimeError("\n".join(lines))


def run(service: str, serve: Callable[[cfg.ConfigOpts], None], arguments: Sequence[str] | None = None) -> int:
    """Prepare and call ``serve``; return the exit code: 1, after a message, if the service must not start."""
    # The first process of a container has no default handlers for signals.
    signal.signal(signal.SIGTERM, _end)
    try:
        conf = parse(sys.argv[1:] if arguments is None else arguments)
        logs.setup(service, conf)
        patches.report()
        check_database(conf)
        # Objects created so far stay alive. Frozen, the garbage collector does not write to their memory, which forked
        # processes then share.
        gc.collect()
        gc.freeze()
        serve(conf)
        return 0
    except (RuntimeError, cfg.Error) as error:
        message = str(error)
    # Outside the handler, where oslo.log would append the exception to each line.
    if logging.getLogger().handlers:
        for line in message.splitlines():
            LOG.critical("%s", line)
    else:
        print(f"{service}: {message}", file=sys.stderr)
    return 1


def _end(number: int, frame: Any) -> None:
    sys.exit(0)

# SPDX-License-Identifier: Apache-2.0
"""oslo.db 18 removed the legacy EngineFacade, which ``qinling.db.base`` uses.

Qinling keeps one session per thread and commits, rolls back and closes it itself. An enginefacade's sessionmaker
provides such sessions: they begin a transaction on first use and keep objects readable after the commit.
"""

import threading
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import options
from oslo_db.sqlalchemy import enginefacade, session
from qinling.db import base

NAME = "database sessions"
REASON = "oslo.db removed the legacy EngineFacade"

# In seconds. A server that disappears without closing its connections must not block a thread forever.
_PYMYSQL_TIMEOUTS = {"connect_timeout": "5", "read_timeout": "15", "write_timeout": "15"}

_lock = threading.Lock()


class Facade:
    """The two calls of the legacy facade that Qinling uses."""

    def __init__(self, context: Any) -> None:
        self._writer = context.writer

    def get_engine(self) -> Any:
        """Return the engine, connecting on first use."""
        return self._writer.get_engine()

    def get_session(self, expire_on_commit: bool = False, autocommit: bool = False) -> Any:
        """Return a new session; SQLAlchemy 2 has no autocommit, and Qinling never requests it."""
        if autocommit:
            raise ValueError("SQLAlchemy 2 does not support sessions with autocommit")
        return self._writer.get_sessionmaker()(expire_on_commit=expire_on_commit)


def with_timeouts(parameters: str, url: str) -> str:
    """Return [database] connection_parameters with time limits added where neither they nor the URL set any."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        return parameters
    if parsed.get_driver_name() != "pymysql":
        return parameters
    present = {part.partition("=")[0] for part in parameters.split("&")} | set(parsed.query)
    added = [f"{name}={value}" for name, value in _PYMYSQL_TIMEOUTS.items() if name not in present]
    return "&".join(filter(None, [parameters, *added]))


def _hide_parameters(engine: Any) -> None:
    # Errors are logged, and the parameters of the statements contain inputs and results of functions.
    engine.hide_parameters = True


def make_facade(conf: cfg.ConfigOpts) -> Facade:
    """Return a facade for the database configured in ``conf``."""
    conf.register_opts(options.database_opts, "database")
    context = enginefacade.transaction_context()
    # sqlite_fk: as Qinling set it in the legacy facade; only tests need it. max_retries: with -1 (Kolla's value) the
    # first use of a database that is down would block each request forever, so fail at once. Later uses reconnect, and
    # commands wait for the database before they start a service.
    settings: dict[str, Any] = {"sqlite_fk": True, "max_retries": 0}
    if conf.database.connection:
        settings["connection_parameters"] = with_timeouts(
            conf.database.connection_parameters or "", conf.database.connection
        )
    context.configure(**settings)
    context.append_on_engine_create(_hide_parameters)
    return Facade(context)


def _get_facade() -> Facade:
    with _lock:
        if base._FACADE is None:
            base._FACADE = make_facade(cfg.CONF)
        return base._FACADE


def needed() -> bool:
    """Return whether Qinling uses the legacy facade, which oslo.db removed."""
    return not hasattr(session, "EngineFacade") and base._get_facade is not _get_facade


def apply() -> None:
    """Build Qinling's facade on enginefacade."""
    base._get_facade = _get_facade

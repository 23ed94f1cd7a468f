# SPDX-License-Identifier: Apache-2.0
"""Failures of the platform, and the one clause of plain English by which the caller of a function learns of them.

An execution that the platform fails ends in the status ``error``; ``failed`` is the function's own failure. The log of
the engine has the details: addresses, statements and tracebacks stay there.
"""

import re
from typing import Any

import etcd3gw.exceptions
from keystoneauth1 import exceptions as ks_exc
from oslo_db import exception as db_exc
from qinling import exceptions as exc
from sqlalchemy import exc as sa_exc

# Qinling's own text, which users may look for.
FAILED = "Function execution failed"
MAX_CLAUSE = 200

# Whatever a text of ours may quote: URLs, IPv4 and IPv6 addresses with or without a port, paths.
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://\S+"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\[?(?:[0-9a-f]{1,4}:){2,}[0-9a-f:]*\]?(?::\d+)?"
    r"|(?<![\w.])/[\w.-]+(?:/[\w.-]+)+",
    re.ASCII | re.IGNORECASE,
)


class PlatformError(exc.OrchestratorException):
    """Something on the way to a function failed, not the function: ``reason`` is for its caller, the text for logs."""

    reason = "the platform failed"

    def __init__(self, message: str | None = None, reason: str | None = None) -> None:
        """Take the text for logs and the clause for callers; each stands in for the other where one is missing."""
        self.reason = reason or type(self).reason
        super().__init__(message or self.reason)


def clause(text: str) -> str:
    """Return the first line of ``text`` as a clause that a caller may read: short, without addresses and paths."""
    line = _ADDRESS.sub("…", text.strip().partition("\n")[0]).strip().rstrip(".:; ")
    return line if len(line) <= MAX_CLAUSE else line[: MAX_CLAUSE - 1].rstrip() + "…"


def _etcd(error: Any) -> str:
    if isinstance(error, etcd3gw.exceptions.ConnectionFailedError | etcd3gw.exceptions.ConnectionTimeoutError):
        return "etcd does not answer"
    if "database space exceeded" in f"{error.detail_text} {error}":
        return "etcd has no space left"
    return "etcd refused a request"


# The first class that matches counts. A text is the reason; a function makes it from the error.
_REASONS: tuple[tuple[type[BaseException], Any], ...] = (
    (PlatformError, lambda error: error.reason),
    (exc.EtcdLockException, "the function's lock in etcd is held by another execution"),
    (exc.DBEntityNotFoundError, "the function or its runtime no longer exists"),
    (exc.TrustFailedException, "Keystone refused the function's trust"),
    (exc.OrchestratorException, str),
    (etcd3gw.exceptions.Etcd3Exception, _etcd),
    (db_exc.DBConnectionError, "the database does not answer"),
    (db_exc.DBError, "the database refused a request"),
    (sa_exc.SQLAlchemyError, "the database refused a request"),
    (ks_exc.ConnectionError, "Keystone does not answer"),
    (ks_exc.ClientException, "Keystone refused a token for the function"),
)


def known(error: BaseException) -> bool:
    """Tell whether a failure is one that operation brings with it, as opposed to a fault in the engine's code."""
    return any(isinstance(error, kind) for kind, _ in _REASONS)


def reason(error: BaseException) -> str:
    """Return why an execution failed, as one clause for the caller of its function."""
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return clause(text if isinstance(text, str) else text(error))
    return f"unexpected {type(error).__name__} in the engine, see its log"


def output(error: BaseException) -> str:
    """Return what an execution's result says of a failure of the platform."""
    return f"{FAILED}: {reason(error)}."

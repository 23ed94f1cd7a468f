# SPDX-License-Identifier: Apache-2.0
"""Failures of the platform, and the reason that the caller of a function gets: one clause of plain English.

An execution that fails in the platform ends in the status ``error``; ``failed`` is the function's own failure. Details
such as addresses, statements and tracebacks appear only in the engine's log.
"""

import re
from typing import Any

import etcd3gw.exceptions
from keystoneauth1 import exceptions as ks_exc
from oslo_db import exception as db_exc
from qinling import exceptions as exc
from sqlalchemy import exc as sa_exc

# Qinling's own text, which users may search for.
FAILED = "Function execution failed"
MAX_CLAUSE = 200

# Texts that a reason must not contain: URLs, IPv4 and IPv6 addresses with or without a port, paths.
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://\S+"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\[?(?:[0-9a-f]{1,4}:){2,}[0-9a-f:]*\]?(?::\d+)?"
    r"|(?<![\w.])/[\w.-]+(?:/[\w.-]+)+",
    re.ASCII | re.IGNORECASE,
)


class PlatformError(exc.OrchestratorException):
    """A failure on the way to a function, not of the function: ``reason`` is for its caller, the text for logs."""

    reason = "the platform failed"

    def __init__(self, message: str | None = None, reason: str | None = None) -> None:
        """Set the text for logs and the clause for callers; each defaults to the other."""
        self.reason = reason or type(self).reason
        super().__init__(message or self.reason)


def clause(text: str) -> str:
    """Return the first line of ``text`` as a clause for callers: short, without addresses and paths."""
    line = _ADDRESS.sub("…", text.strip().partition("\n")[0]).strip().rstrip(".:; ")
    return line if len(line) <= MAX_CLAUSE else line[: MAX_CLAUSE - 1].rstrip() + "…"


def _etcd(error: Any) -> str:
    if isinstance(error, etcd3gw.exceptions.ConnectionFailedError | etcd3gw.exceptions.ConnectionTimeoutError):
        return "etcd does not answer"
    if "database space exceeded" in f"{error.detail_text} {error}":
        return "etcd has no space left"
    return "etcd refused a request"


# The first matching class counts. Its reason is a text, or a function that derives it from the error.
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


def is_expected(error: BaseException) -> bool:
    """Return whether a failure can occur in operation, as opposed to a bug in the engine's code."""
    return any(isinstance(error, kind) for kind, _unused in _REASONS)


def reason(error: BaseException) -> str:
    """Return why an execution failed, as one clause for the caller of its function."""
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return clause(text if isinstance(text, str) else text(error))
    return f"unexpected {type(error).__name__} in the engine, see its log"


def output(error: BaseException) -> str:
    """Return the output of an execution that failed in the platform."""
    return f"{FAILED}: {reason(error)}."

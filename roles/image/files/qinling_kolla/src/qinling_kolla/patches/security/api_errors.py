# SPDX-License-Identifier: Apache-2.0
"""Responses to internal failures: without SQL, host names and file names, and with the right status.

Qinling answers a database outage with 400 and the SQL statement, other failures with 500 and the exception's text. Here
an outage of the database or of etcd answers 503, a full disk 507, a value that the database refuses 400, and any other
failure 500, each with a short text; the exception is logged.
"""

import errno
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import requests
import sqlalchemy as sa
import webob.exc
import wsmeext.pecan as wsme_pecan
from etcd3gw import exceptions as etcd_exc
from oslo_db import exception as db_exc
from oslo_log import log as logging
from qinling import exceptions as exc
from qinling.utils import rest_utils
from wsme import exc as wsme_exc

NAME = "responses to internal failures"
REASON = "a database outage answered 400 with SQL text"

LOG = logging.getLogger(__name__)

_MARK = "qinling_kolla_translates"


class ServiceUnavailableException(exc.QinlingException):
    """A dependency of the API does not answer; a later request may succeed."""

    http_code = 503
    message = "The service is temporarily unavailable, please try again later."


class InsufficientStorageException(exc.QinlingException):
    """The disk of the package storage is full."""

    http_code = 507
    message = "There is no space left for the package; it was not stored. An operator must free disk space."


class InternalException(exc.QinlingException):
    """Any other failure."""

    http_code = 500
    message = "Internal server error."


# Passed through unchanged: intended responses, not failures.
_RESPONSES = (webob.exc.HTTPException, wsme_exc.ClientSideError)

_DATABASE_DOWN = (
    db_exc.DBConnectionError,
    db_exc.CantStartEngineError,
    sa.exc.TimeoutError,
    sa.exc.DisconnectionError,
    # Errors of the server or of the connection, as opposed to errors of a statement, that oslo.db does not translate.
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
)
_DATABASE = (db_exc.DBError, sa.exc.SQLAlchemyError)
# Qinling's own exceptions that can have any cause.
_OPAQUE = (exc.DBError, exc.StorageProviderException)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_ETCD_DOWN = (
    etcd_exc.ConnectionFailedError,
    etcd_exc.ConnectionTimeoutError,
    requests.ConnectionError,
    requests.Timeout,
)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def translate(error: Exception) -> Exception:
    """Return the exception to respond with: ``error`` itself if its text may be shown."""
    if isinstance(error, (*_RESPONSES, exc.DBEntityNotFoundError)):
        return error
    opaque = isinstance(error, _OPAQUE) or not isinstance(error, exc.QinlingException)
    causes = list(chain(error)) if opaque else []
    if any(isinstance(cause, _DATABASE_DOWN) for cause in causes):
        return ServiceUnavailableException("The database is temporarily unavailable, please try again later.")
    if any(isinstance(cause, db_exc.DBDataError) for cause in causes):
        return exc.InputException("A value is too long or has the wrong type.")
    if any(isinstance(cause, OSError) and cause.errno in _DISK_FULL for cause in causes):
        return InsufficientStorageException()
    if any(isinstance(cause, UnicodeEncodeError) for cause in causes):
        return exc.InputException("A value contains characters that are not valid Unicode; expected UTF-8.")
    if any(isinstance(cause, db_exc.DBDuplicateEntry) for cause in causes):
        return exc.ConflictException("The entry already exists.")
    if any(isinstance(cause, db_exc.DBReferenceError) for cause in causes):
        return exc.ConflictException("The entry refers to another that does not exist, or is still referred to.")
    if any(isinstance(cause, _DATABASE) for cause in causes):
        return InternalException("The database refused a statement; see the API's log.")
    if any(isinstance(cause, _ETCD_DOWN) for cause in causes):
        return ServiceUnavailableException(
            "The function mapping store is temporarily unavailable, please try again later."
        )
    if isinstance(error, exc.QinlingException):
        return error
    return InternalException()


def translating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` with its exceptions translated."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            shown = translate(error)
            if shown is error:
                raise
            LOG.exception("A request failed")
            # Not chained: the response must not contain the cause.
            raise shown from None

    return wrapped


def _wrap_wsexpose(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``wsexpose`` for methods that translate exceptions themselves, as WSME responds to every exception."""

    @functools.wraps(original)
    def wsexpose(*args: Any, **kwargs: Any) -> Callable[..., Any]:
        decorate = original(*args, **kwargs)

        def translated(method: Callable[..., Any]) -> Any:
            wrapped = translating(method)
            # wsme reads the names of the method's arguments.
            wrapped.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
            exposed = decorate(wrapped)
            # Copied by functools.wraps; with it pecan would map query arguments to parts of the path.
            vars(exposed).pop("__signature__", None)
            return exposed

        return translated

    setattr(wsexpose, _MARK, True)
    return wsexpose


def _wrap_decorator(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def decorator(function: Callable[..., Any]) -> Any:
        return original(translating(function))

    setattr(decorator, _MARK, True)
    return decorator


def needed() -> bool:
    """Return whether one of the two decorators that expose methods does not translate exceptions."""
    exposers = (wsme_pecan.wsexpose, rest_utils.wrap_pecan_controller_exception)
    return not all(hasattr(exposer, _MARK) for exposer in exposers)


def apply() -> None:
    """Make both decorators translate exceptions, before controllers are imported and use them."""
    wsme_pecan.wsexpose = _wrap_wsexpose(wsme_pecan.wsexpose)
    rest_utils.wrap_pecan_controller_exception = _wrap_decorator(rest_utils.wrap_pecan_controller_exception)

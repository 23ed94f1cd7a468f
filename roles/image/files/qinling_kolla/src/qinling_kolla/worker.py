# SPDX-License-Identifier: Apache-2.0
"""Requests from the engine to a worker, and their credentials.

Replaces ``url_request`` and ``get_request_data`` of ``qinling.engine.utils``. A request is repeated only if it
certainly never reached the worker: a function that may have started is never started twice. A worker runs a user's
code, so its responses are not trusted: no redirect is followed, and the size is limited. Neither requests nor responses
are logged.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
import urllib3
from oslo_config import cfg
from oslo_log import log as logging
from qinling import context
from qinling.utils import constants

from qinling_kolla import failures, identity
from qinling_kolla.orchestrator import transport

LOG = logging.getLogger(__name__)

CONNECT_SECONDS = 3
# How long a worker may take until it answers a ping, and until a POST reaches it.
PING_SECONDS = 15
PAUSE_SECONDS = 0.25
PONG_BYTES = 4096
# How long an address needs no ping after a response. Shorter than the idle timeout of every component on the way (60 s
# in a worker), so that a POST does not use a connection that was just closed.
WARM_SECONDS = 20

# Qinling's own text, which users may search for.
TIMEOUT_OUTPUT = "Function execution timeout."
# The reason for a response without a result, by HTTP status; both statuses come from the gateway.
_NO_RESULT = {502: "the function's worker broke the connection", 504: "the function's worker did not answer in time"}


_warm_guard = threading.Lock()
_warm: dict[str, float] = {}


def _is_warm(url: str) -> bool:
    with _warm_guard:
        return time.monotonic() < _warm.get(url, 0.0)


def _mark_warm(url: str) -> None:
    """Record that an address answered."""
    now = time.monotonic()
    with _warm_guard:
        for old in [old for old, until in _warm.items() if until < now]:
            del _warm[old]
        _warm[url] = now + WARM_SECONDS


def _mark_cold(url: str) -> None:
    with _warm_guard:
        _warm.pop(url, None)


class Unreachable(failures.PlatformError):
    """The worker does not answer, and nothing was started."""

    reason = transport.NotReached.reason


class Lost(failures.PlatformError):
    """A request was sent and no result came back: the function may have run, completely or in part."""

    reason = "the connection to the function's worker broke during the execution"


def never_arrived(error: requests.RequestException) -> bool:
    """Return whether a request that failed with ``error`` certainly never reached the worker."""
    if isinstance(error, (transport.NotReached, requests.ConnectTimeout)):
        return True
    if not isinstance(error, requests.ConnectionError):
        return False
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def _retry_until(deadline: float, attempt: Callable[[], Any]) -> Any:
    """Call ``attempt`` until it does not raise NotReached and return its result; raise Unreachable at the deadline."""
    while True:
        try:
            return attempt()
        except transport.NotReached as error:
            if time.monotonic() >= deadline:
                raise Unreachable(str(error), error.reason) from error
        time.sleep(PAUSE_SECONDS)


def ping(session: requests.Session, url: str, seconds: float | None = None) -> None:
    """Wait until the worker of an /execute ``url`` answers a ping; raise Unreachable after ``seconds``."""
    address = url.rsplit("/", 1)[0] + "/ping"

    def attempt() -> None:
        try:
            response = session.get(
                address, timeout=(CONNECT_SECONDS, CONNECT_SECONDS), allow_redirects=False, stream=True
            )
            # Read the body, so that the execution can reuse the connection.
            transport.read_answer(response, PONG_BYTES)
            if response.status_code != 200:
                raise transport.NotReached(f"{address} answered {response.status_code}")
        except transport.NotReached:
            raise
        except (requests.RequestException, OSError) as error:
            raise transport.NotReached(f"{address}: {type(error).__name__}") from error

    _retry_until(time.monotonic() + (PING_SECONDS if seconds is None else seconds), attempt)


def _post(session: requests.Session, url: str, body: dict[str, Any], read_seconds: float) -> tuple[int, bytes]:
    def attempt() -> requests.Response:
        try:
            return session.post(
                url, json=body, timeout=(CONNECT_SECONDS, read_seconds), allow_redirects=False, stream=True
            )
        except transport.NotReached:
            raise
        except requests.RequestException as error:
            if never_arrived(error):
                raise transport.NotReached(f"{url}: {type(error).__name__}") from error
            raise

    response = _retry_until(time.monotonic() + PING_SECONDS, attempt)
    return response.status_code, transport.read_answer(response)


def read_result(status: int, content: bytes) -> dict[str, Any]:
    """Return a worker's result for Qinling's engine (output, duration, logs, success); raise Lost without one."""
    try:
        result = json.loads(content)
    except ValueError:
        result = None
    if not isinstance(result, dict):
        reason = _NO_RESULT.get(status, "the function's worker answered without a result")
        raise Lost(f"{reason} (HTTP status {status})", reason)
    if not isinstance(result.get("logs", ""), str):
        result["logs"] = str(result["logs"])
    result.setdefault("success", status < 400)
    return result


def url_request(session: requests.Session, url: str, body: dict[str, Any] | None = None) -> tuple[bool, dict[str, Any]]:
    """Run one execution on the worker at ``url`` and return (whether the worker responded, result).

    ``body`` comes from get_request_data; its ``timeout`` is the function's. A ping precedes the POST unless the address
    has just responded, which avoids a POST on a broken idle connection. Only a POST that certainly never arrived is
    repeated. Raise Unreachable if the worker does not answer and nothing was started, and Lost if no result came back.
    """
    body = body or {}
    limit = (body.get("timeout") or cfg.CONF.resource_limits.max_timeout) + cfg.CONF.engine.worker_read_margin
    if not _is_warm(url):
        ping(session, url)
    started = time.monotonic()
    # Until the next response.
    _mark_cold(url)
    try:
        status, content = _post(session, url, body, limit)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        return False, _failure(error, url, body.get("execution_id"), limit, time.monotonic() - started)
    _mark_warm(url)
    return True, read_result(status, content)


def _failure(error: Exception, url: str, execution_id: str | None, limit: float, seconds: float) -> dict[str, Any]:
    """Return the result of a function whose response is late or too large; raise Lost for any other failure."""
    # requests reports a read timeout within the body as a connection error.
    late = isinstance(error, requests.ConnectionError) and "Read timed out" in str(error)
    if late or isinstance(error, requests.Timeout):
        LOG.error("Worker %s did not answer within %d s, execution %s", url, limit, execution_id)
        text = TIMEOUT_OUTPUT
    elif isinstance(error, transport.AnswerTooLarge):
        LOG.error("The response of worker %s is too large, execution %s", url, execution_id)
        text = f"{failures.FAILED}: its answer is larger than {transport.MAX_ANSWER // 2**20} MiB."
    else:
        raise Lost(f"worker {url} failed during the execution: {type(error).__name__}", Lost.reason) from error
    return {"output": text, "duration": round(seconds, 3)}


def download_url(endpoint: str, function_id: str, version: int) -> str:
    """Return the URL from which a worker downloads the package of a function's version (0: the function itself)."""
    part = f"/versions/{version}" if version else ""
    return f"{endpoint.strip('/')}/{constants.CURRENT_VERSION}/functions/{function_id}{part}?download=true"


def get_request_data(
    conf: cfg.ConfigOpts,
    function_id: str,
    version: int,
    execution_id: str,
    rlimit: dict[str, int],
    input: dict[str, Any] | None,
    entry: str | None,
    trust_id: str | None,
    qinling_endpoint: str,
    timeout: int,
) -> dict[str, Any]:
    """Return the body of a request to a worker.

    With a trust, ``token`` is scoped to it and valid for at least the longest time of the execution. The body contains
    the service user's name and password only if [engine] worker_credentials = password.
    """
    ctx = context.get_ctx()
    data = {
        "execution_id": execution_id,
        "cpu": rlimit["cpu"],
        "memory_size": rlimit["memory_size"],
        "input": input,
        "function_id": function_id,
        "function_version": version,
        "entry": entry,
        "download_url": download_url(qinling_endpoint, function_id, version or 0),
        "request_id": ctx.request_id,
        "timeout": timeout,
    }
    if not conf.pecan.auth_enable:
        return data
    token = ctx.auth_token
    if trust_id and conf.engine.worker_credentials == "trust":
        lifetime = (timeout or conf.resource_limits.max_timeout) + conf.engine.worker_read_margin
        token = identity.trust_access(conf, trust_id, lifetime=lifetime).auth_token
    data.update(token=token, auth_url=identity.public_url(conf), trust_id=trust_id)
    if conf.engine.worker_credentials == "password":
        data.update(username=conf.keystone_authtoken.username, password=conf.keystone_authtoken.password)
    return data

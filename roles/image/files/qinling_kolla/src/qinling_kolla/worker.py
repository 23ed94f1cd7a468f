# SPDX-License-Identifier: Apache-2.0
"""How the engine speaks to a worker, and with whose credentials.

Replaces ``url_request`` and ``get_request_data`` of ``qinling.engine.utils``. A request is sent again only as long as
it certainly never reached the worker: a function that may have started is never started twice. A worker runs a user's
code, so what it answers is not trusted: no redirect is followed and the size is limited. Neither requests nor answers
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
# How long a worker may take until it answers a ping, and until a POST finds it.
PING_SECONDS = 15
PAUSE_SECONDS = 0.25
PONG_BYTES = 4096
# For how long an address that answered needs no ping. Shorter than anything on the way keeps an idle connection (a
# worker 60 s), so that a POST does not meet one that was just closed.
WARM_SECONDS = 20

# Qinling's own text, which users may look for.
TIMEOUT_OUTPUT = "Function execution timeout."
# What an answer without a result says, by its HTTP status; the relay gives the first two for a worker.
_NO_RESULT = {502: "the function's worker broke the connection", 504: "the function's worker did not answer in time"}


_warm_guard = threading.Lock()
_warm: dict[str, float] = {}


def _is_warm(url: str) -> bool:
    with _warm_guard:
        return time.monotonic() < _warm.get(url, 0.0)


def _remember_answer(url: str) -> None:
    """Remember that an address answered."""
    now = time.monotonic()
    with _warm_guard:
        for old in [old for old, until in _warm.items() if until < now]:
            del _warm[old]
        _warm[url] = now + WARM_SECONDS


def _forget_answer(url: str) -> None:
    with _warm_guard:
        _warm.pop(url, None)


class Unreachable(failures.PlatformError):
    """The worker does not answer, and nothing was started."""

    reason = transport.NotReached.reason


class Lost(failures.PlatformError):
    """A request went out and no result came back: the function may have run, wholly or in part."""

    reason = "the connection to the function's worker broke during the execution"


def never_arrived(error: requests.RequestException) -> bool:
    """Tell whether a request that failed with ``error`` certainly never reached the worker."""
    if isinstance(error, (transport.NotReached, requests.ConnectTimeout)):
        return True
    if not isinstance(error, requests.ConnectionError):
        return False
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def _until(deadline: float, attempt: Callable[[], Any]) -> Any:
    """Return what ``attempt`` returns once it raises NotReached no more; raise Unreachable after the deadline."""
    while True:
        try:
            return attempt()
        except transport.NotReached as error:
            if time.monotonic() >= deadline:
                raise Unreachable(str(error), error.reason) from error
        time.sleep(PAUSE_SECONDS)


def ping(session: requests.Session, url: str, seconds: float | None = None) -> None:
    """Wait until the worker of an /execute ``url`` answers a ping; raise Unreachable when it does not in time."""
    address = url.rsplit("/", 1)[0] + "/ping"

    def attempt() -> None:
        try:
            response = session.get(
                address, timeout=(CONNECT_SECONDS, CONNECT_SECONDS), allow_redirects=False, stream=True
            )
            # Read, so that the connection serves the execution, too.
            transport.read_answer(response, PONG_BYTES)
            if response.status_code != 200:
                raise transport.NotReached(f"{address} answered {response.status_code}")
        except transport.NotReached:
            raise
        except (requests.RequestException, OSError) as error:
            raise transport.NotReached(f"{address}: {type(error).__name__}") from error

    _until(time.monotonic() + (PING_SECONDS if seconds is None else seconds), attempt)


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

    response = _until(time.monotonic() + PING_SECONDS, attempt)
    return response.status_code, transport.read_answer(response)


def read_result(status: int, content: bytes) -> dict[str, Any]:
    """Return a worker's answer as Qinling's engine takes it: output, duration, logs, success; raise Lost for none."""
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
    """Run one execution on the worker at ``url`` and return (whether it answered, its result).

    A ping goes ahead unless the address answered a moment ago. It only keeps a POST from an idle connection that
    breaks: one that certainly never arrived is sent again with or without it, any other one never.

    :param body: the request as get_request_data makes it; its ``timeout`` is the function's.
    :raises Unreachable: when the worker does not answer and nothing was started.
    :raises Lost: when no result came back, which is a failure of the platform.
    """
    body = body or {}
    limit = (body.get("timeout") or cfg.CONF.resource_limits.max_timeout) + cfg.CONF.engine.worker_read_margin
    if not _is_warm(url):
        ping(session, url)
    started = time.monotonic()
    # Until it has answered again.
    _forget_answer(url)
    try:
        status, content = _post(session, url, body, limit)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        return False, _failure(error, url, body.get("execution_id"), limit, time.monotonic() - started)
    _remember_answer(url)
    return True, read_result(status, content)


def _failure(error: Exception, url: str, execution_id: str | None, limit: float, seconds: float) -> dict[str, Any]:
    """Return the result of a function whose answer took too long or is too large; raise Lost for any other failure."""
    # requests reports a read timeout of a body that has begun as a connection error.
    late = isinstance(error, requests.ConnectionError) and "Read timed out" in str(error)
    if late or isinstance(error, requests.Timeout):
        LOG.error("Worker %s did not answer within %d s, execution %s", url, limit, execution_id)
        text = TIMEOUT_OUTPUT
    elif isinstance(error, transport.AnswerTooLarge):
        LOG.error("Worker %s gave too large an answer, execution %s", url, execution_id)
        text = f"{failures.FAILED}: its answer is larger than {transport.MAX_ANSWER // 2**20} MiB."
    else:
        raise Lost(f"worker {url} failed during the execution: {type(error).__name__}", Lost.reason) from error
    return {"output": text, "duration": round(seconds, 3)}


def download_url(endpoint: str, function_id: str, version: int) -> str:
    """Return the address from which a worker fetches the package of a function's version (0: the function itself)."""
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

    With a trust, ``token`` is scoped to it and lives at least as long as the execution may take. The service user's
    name and password are in it only when [engine] worker_credentials = password.
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

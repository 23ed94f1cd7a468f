# SPDX-License-Identifier: Apache-2.0
"""Adapter of ``requests`` for workers whose URLs only the driver can resolve.

A driver subclasses ``WorkerAdapter`` and mounts it for its URL prefix in ``mount(session)``; the engine's session and
the driver's own then reach workers in the same way.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import requests
from requests import adapters

# A worker's response is held in memory, in the database and in a message to the API.
MAX_ANSWER = 16 * 1024 * 1024


class NotReached(requests.ConnectionError):
    """The request certainly never arrived at the worker, so it may be repeated.

    ``reason`` is one clause for the caller of the function; the text is for logs.
    """

    reason = "the function's worker does not answer"

    def __init__(self, *args: Any, reason: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reason = reason or type(self).reason


class GatewayAway(NotReached):
    """The gateway to the workers does not answer; the workers may be healthy."""

    reason = "the function gateway does not answer"


class AnswerTooLarge(requests.RequestException):
    """The worker's response exceeds MAX_ANSWER."""


@dataclasses.dataclass(frozen=True)
class Target:
    """The real address of a worker's URL, with headers and TLS settings."""

    url: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    verify: bool | str = True
    cert: tuple[str, str] | None = None


class WorkerAdapter(adapters.HTTPAdapter):
    """Adapter that sends a request for a worker's URL to its real address."""

    def resolve(self, url: str) -> Target:
        """Return the real address of ``url``; raise NotReached if no such worker exists now."""
        raise NotImplementedError

    def not_reached(self, response: requests.Response) -> bool:
        """Return whether a gateway or proxy responded because it could not connect to the worker."""
        return False

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send the request to the address from ``resolve``, ignoring the environment's proxies."""
        target = self.resolve(request.url or "")
        sent = request.copy()
        sent.url = target.url
        sent.headers.update(target.headers)
        response = super().send(
            sent, stream=stream, timeout=timeout, verify=target.verify, cert=target.cert, proxies={}
        )
        if self.not_reached(response):
            status = response.status_code
            response.close()
            raise NotReached(f"no worker behind {request.url} (answer {status})", request=request)
        return response


def read_answer(response: requests.Response, limit: int | None = None) -> bytes:
    """Return the body of a response requested with stream=True; raise AnswerTooLarge beyond ``limit`` bytes."""
    limit = MAX_ANSWER if limit is None else limit
    parts, size = [], 0
    with response:
        for part in response.iter_content(65536):
            size += len(part)
            if size > limit:
                raise AnswerTooLarge(f"the answer is larger than {limit} bytes", response=response)
            parts.append(part)
    return b"".join(parts)

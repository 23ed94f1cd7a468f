# SPDX-License-Identifier: Apache-2.0
"""Requests to workers: with a trust's token instead of the service user's password, within the function's own timeout.

Qinling's own calls ``tenacity.Retrying.call`` (gone), sends a request again that may have started already, cuts every
execution at 180 s, follows a worker's redirects, and logs what the worker answered.
"""

import requests
from qinling.engine import default_engine, utils

from qinling_kolla import worker

NAME = "requests to workers"
REASON = "they carried the service user's password, were cut at 180 s and could start a function twice"

_original_init = default_engine.DefaultEngine.__init__


def init(self: object, orchestrator: object, qinling_endpoint: str) -> None:
    """Let the driver teach the engine's own session how to reach workers."""
    _original_init(self, orchestrator, qinling_endpoint)
    mount = getattr(orchestrator, "mount", None)
    if mount is not None:
        session: requests.Session = self.session  # type: ignore[attr-defined]
        mount(session)


def needed() -> bool:
    """Tell whether Qinling's own functions are in place."""
    return utils.url_request is not worker.url_request


def apply() -> None:
    """Replace them."""
    utils.url_request = worker.url_request
    utils.get_request_data = worker.get_request_data
    default_engine.DefaultEngine.__init__ = init

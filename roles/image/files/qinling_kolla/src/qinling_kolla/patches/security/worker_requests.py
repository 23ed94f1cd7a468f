# SPDX-License-Identifier: Apache-2.0
"""Requests to workers: with a trust's token instead of the service user's password, and with the function's timeout.

Qinling's own code calls ``tenacity.Retrying.call`` (removed), repeats a request that may already have started, ends
every execution at 180 s, follows a worker's redirects, and logs the worker's response.
"""

import requests
from qinling.engine import default_engine, utils

from qinling_kolla import worker

NAME = "requests to workers"
REASON = "they contained the service user's password, ended at 180 s and could start a function twice"

_original_init = default_engine.DefaultEngine.__init__


def init(self: object, orchestrator: object, qinling_endpoint: str) -> None:
    """Initialize the engine, and let the driver mount its adapter on the engine's session."""
    _original_init(self, orchestrator, qinling_endpoint)
    mount = getattr(orchestrator, "mount", None)
    if mount is not None:
        session: requests.Session = self.session  # type: ignore[attr-defined]
        mount(session)


def needed() -> bool:
    """Return whether Qinling's own functions are in use."""
    return utils.url_request is not worker.url_request


def apply() -> None:
    """Replace Qinling's functions."""
    utils.url_request = worker.url_request
    utils.get_request_data = worker.get_request_data
    default_engine.DefaultEngine.__init__ = init

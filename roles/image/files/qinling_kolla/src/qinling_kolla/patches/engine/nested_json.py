# SPDX-License-Identifier: Apache-2.0
"""A body with JSON nested too deeply for Python answered 500, even without authentication."""

from typing import Any

import webob.request
import wsme.rest.json
from pecan import core
from wsme import exc as wsme_exc

NAME = "deeply nested JSON"
REASON = "a body with many nested brackets answered 500"

_original_json = webob.request.BaseRequest.json
_original_parse = wsme.rest.json.parse


@property  # type: ignore[misc]
def _json(self: Any) -> Any:
    try:
        return _original_json.fget(self)
    except RecursionError:
        # pecan handles this as "not JSON".
        raise ValueError("nested too deeply") from None


def _parse(*args: Any, **kwargs: Any) -> Any:
    try:
        return _original_parse(*args, **kwargs)
    except RecursionError:
        raise wsme_exc.ClientSideError("The JSON of the request is nested too deeply.") from None


def needed() -> bool:
    """Return whether the libraries' own parsers are in use."""
    return core.Request.json is _original_json


def apply() -> None:
    """Report deep nesting as an error of the caller in both parsers."""
    core.Request.json = _json
    wsme.rest.json.parse = _parse

# SPDX-License-Identifier: Apache-2.0
"""A 401 response repeated the request's token in its body and in a header, which also reached logs of proxies."""

import inspect
from typing import Any

from qinling import context
from qinling import exceptions as exc

NAME = "tokens in 401 responses"
REASON = "the body and a header echoed the token"


def authenticate(req: Any) -> None:
    """Raise UnauthorizedException unless keystonemiddleware confirmed the request's user or service."""
    if "Confirmed" in (req.headers.get("X-Identity-Status"), req.headers.get("X-Service-Identity-Status")):
        return
    if req.headers.get("X-Auth-Token"):
        raise exc.UnauthorizedException("Auth token is invalid")
    raise exc.UnauthorizedException("Authentication required")


def needed() -> bool:
    """Return whether Qinling's function puts the token into its message."""
    return "req.headers['X-Auth-Token']" in inspect.getsource(context.authenticate)


def apply() -> None:
    """Replace Qinling's function."""
    context.authenticate = authenticate

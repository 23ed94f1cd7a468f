# SPDX-License-Identifier: Apache-2.0
"""oslo.context calls them ``project_id`` and ``user_id``; Qinling still says ``tenant`` and ``user``."""

import functools
from typing import Any

from qinling import context

NAME = "context names tenant and user"
REASON = "oslo.context dropped them; trusts, jobs and webhooks failed"


def needed() -> bool:
    """Tell whether a context still knows the old names."""
    return not (hasattr(context.Context, "tenant") and hasattr(context.Context, "user"))


def apply() -> None:
    """Let a context be made with the old names and be read by them."""
    original = context.Context.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        for old, new in (("tenant", "project_id"), ("user", "user_id")):
            if old in kwargs:
                kwargs.setdefault(new, kwargs.pop(old))
        original(self, *args, **kwargs)

    context.Context.__init__ = init
    context.Context.tenant = property(lambda self: self.project_id)
    context.Context.user = property(lambda self: self.user_id)

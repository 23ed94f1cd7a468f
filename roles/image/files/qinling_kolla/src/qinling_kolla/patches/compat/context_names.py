# SPDX-License-Identifier: Apache-2.0
"""oslo.context renamed ``tenant`` and ``user`` to ``project_id`` and ``user_id``; Qinling uses the old names."""

import functools
from typing import Any

from qinling import context

NAME = "context names tenant and user"
REASON = "oslo.context removed them; trusts, jobs and webhooks failed"


def needed() -> bool:
    """Return whether the context lacks one of the old names."""
    return not (hasattr(context.Context, "tenant") and hasattr(context.Context, "user"))


def apply() -> None:
    """Accept the old names as arguments of a context and provide them as properties."""
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

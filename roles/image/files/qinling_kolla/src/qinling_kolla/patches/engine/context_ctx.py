# SPDX-License-Identifier: Apache-2.0
"""``rest_utils.get_project_params`` calls ``context.ctx()``, which never existed: a member's ?project_id= failed."""

from qinling import context

NAME = "qinling.context.ctx"
REASON = "a member's ?project_id= answered 500"


def needed() -> bool:
    """Return whether the function is missing."""
    return not hasattr(context, "ctx")


def apply() -> None:
    """Add the missing name as an alias of ``get_ctx``."""
    context.ctx = context.get_ctx

# SPDX-License-Identifier: Apache-2.0
"""``rest_utils.get_project_params`` calls ``context.ctx()``, which never existed: a member's ?project_id= failed."""

from qinling import context

NAME = "qinling.context.ctx"
REASON = "a member's ?project_id= answered 500"


def needed() -> bool:
    """Tell whether the function is missing."""
    return not hasattr(context, "ctx")


def apply() -> None:
    """Offer it under the name that is called."""
    context.ctx = context.get_ctx

# SPDX-License-Identifier: Apache-2.0
"""tenacity 9 removed ``Retrying.call``, which Qinling and drivers written for it call."""

import tenacity

NAME = "tenacity.Retrying.call"
REASON = "tenacity removed it; Qinling's drivers call it"


def needed() -> bool:
    """Return whether the method is missing."""
    return not hasattr(tenacity.Retrying, "call")


def apply() -> None:
    """Restore it as an alias of ``__call__``."""
    tenacity.Retrying.call = tenacity.Retrying.__call__

# SPDX-License-Identifier: Apache-2.0
"""tenacity 9 removed ``Retrying.call``, which Qinling and orchestrators written for it use."""

import tenacity

NAME = "tenacity.Retrying.call"
REASON = "tenacity removed it; Qinling's drivers call it"


def needed() -> bool:
    """Tell whether the method is missing."""
    return not hasattr(tenacity.Retrying, "call")


def apply() -> None:
    """Offer it again, as another name of ``__call__``."""
    tenacity.Retrying.call = tenacity.Retrying.__call__

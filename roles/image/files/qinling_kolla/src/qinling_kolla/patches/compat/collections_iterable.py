# SPDX-License-Identifier: Apache-2.0
"""Python 3.10 moved ``collections.Iterable`` to ``collections.abc``; package downloads answered 500."""

import collections
import collections.abc

from qinling.api.controllers.v1 import function, function_version

NAME = "collections.Iterable"
REASON = "Python removed it; package downloads answered 500"

_MODULES = (function, function_version)


def needed() -> bool:
    """Return whether a controller lacks ``collections.Iterable``."""
    return any(not hasattr(module.collections, "Iterable") for module in _MODULES)


def apply() -> None:
    """Replace ``collections`` in the two modules, which use only ``Iterable`` of it."""
    for module in _MODULES:
        module.collections = collections.abc

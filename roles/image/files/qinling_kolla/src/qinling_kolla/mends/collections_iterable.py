# SPDX-License-Identifier: Apache-2.0
"""Python 3.10 moved ``collections.Iterable`` to ``collections.abc``: each package download answered 500."""

import collections
import collections.abc

from qinling.api.controllers.v1 import function, function_version

NAME = "collections.Iterable"
REASON = "Python dropped it; package downloads answered 500"

_MODULES = (function, function_version)


def needed() -> bool:
    """Tell whether the controllers would miss it."""
    return any(not hasattr(module.collections, "Iterable") for module in _MODULES)


def apply() -> None:
    """Let these two modules, which use nothing else of ``collections``, find it."""
    for module in _MODULES:
        module.collections = collections.abc

# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy composed each statement on functions and executions anew, as their column type did not permit a cache.

The type (JSON as text) has no state, so statements that only differ in values are the same text.
"""

from qinling.db.sqlalchemy import types

NAME = "cache of SQL statements"
REASON = "each statement on functions and executions was composed anew"


# SQLAlchemy asks each class for itself.
_TYPES = (types.JsonEncoded, *types.JsonEncoded.__subclasses__())


def needed() -> bool:
    """Tell whether a column type says nothing about it."""
    return any("cache_ok" not in vars(each) for each in _TYPES)


def apply() -> None:
    """Permit it."""
    for each in _TYPES:
        each.cache_ok = True

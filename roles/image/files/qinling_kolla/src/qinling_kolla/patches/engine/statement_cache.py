# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy compiled each statement on functions and executions again, as their column type prevented caching.

The type (JSON as text) has no state, so statements that differ only in values have the same text.
"""

from qinling.db.sqlalchemy import types

NAME = "cache of SQL statements"
REASON = "each statement on functions and executions was compiled again"


# SQLAlchemy reads cache_ok from each class, without inheritance.
_TYPES = (types.JsonEncoded, *types.JsonEncoded.__subclasses__())


def needed() -> bool:
    """Return whether a column type does not set ``cache_ok``."""
    return any("cache_ok" not in vars(each) for each in _TYPES)


def apply() -> None:
    """Allow caching for these types."""
    for each in _TYPES:
        each.cache_ok = True

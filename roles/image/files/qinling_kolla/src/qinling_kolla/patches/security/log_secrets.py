# SPDX-License-Identifier: Apache-2.0
"""API and engine logged complete requests: inputs of functions, uploaded packages and credentials.

A filter on these loggers masks secrets in logged dicts and after ``name=`` in messages.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

NAME = "secrets in logs"
REASON = "API and engine logged inputs, and worker requests with credentials"

MASK = "***"

# Input of functions, and credentials.
_SECRET = frozenset({"input", "function_input", "package", "token", "auth_token", "password", "trust_id"})

LOGGERS = (
    "qinling.api.controllers.v1.execution",
    "qinling.api.controllers.v1.function",
    "qinling.api.controllers.v1.function_version",
    "qinling.api.controllers.v1.job",
    "qinling.api.controllers.v1.webhook",
    "qinling.engine.default_engine",
    "qinling.engine.utils",
    "qinling.orchestrator.kubernetes.manager",
)

_CONVERSION = re.compile(r"(?:(?P<name>\w+)=)?%(?:%|(?:\.\d+)?[a-zA-Z])")


def mask(value: Any) -> Any:
    """Return ``value`` with the secret members of dicts masked, at any depth."""
    if isinstance(value, Mapping):
        return {key: MASK if key in _SECRET and item is not None else mask(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item) for item in value]
    return value


def mask_arguments(message: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a log record's arguments, masked in dicts and after names such as ``input=%s`` in the message."""
    names = [match["name"] for match in _CONVERSION.finditer(message) if not match[0].endswith("%%")]
    masked = []
    for position, argument in enumerate(arguments):
        name = names[position] if position < len(names) else None
        masked.append(MASK if name in _SECRET and argument is not None else mask(argument))
    return tuple(masked)


class SecretsFilter(logging.Filter):
    """A filter that passes every record, with secrets masked."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's arguments."""
        if isinstance(record.args, Mapping):
            # logging unpacks a tuple with a single dict.
            record.args = mask(record.args)
        elif record.args:
            record.args = mask_arguments(str(record.msg), record.args)
        return True


def _filtered(name: str) -> bool:
    return any(isinstance(item, SecretsFilter) for item in logging.getLogger(name).filters)


def needed() -> bool:
    """Return whether a logger has no filter."""
    return not all(_filtered(name) for name in LOGGERS)


def apply() -> None:
    """Add the filter to each logger."""
    for name in LOGGERS:
        if not _filtered(name):
            logging.getLogger(name).addFilter(SecretsFilter())

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Encode data that action plugins send to their modules: as one hidden argument that supports binary content."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import DesiredFile

# The argument of a module that holds the payload; logs never show it.
ARGUMENT: dict[str, Any] = {"type": "str", "required": True, "no_log": True}


def dump(data: Any) -> str:
    """Encode data of JSON's types as the argument of a module."""
    # The fastest compression level: the payload is transferred only once.
    return base64.b64encode(zlib.compress(json.dumps(data).encode(), 1)).decode("ascii")


def load(text: str) -> Any:
    """Decode the result of `dump`."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def dump_files(services: Mapping[str, Iterable[DesiredFile]]) -> dict[str, list[list[Any]]]:
    """Convert files by service to JSON's types."""
    return {
        name: [[file.path, file.mode, base64.b64encode(file.content).decode("ascii"), file.secret] for file in files]
        for name, files in services.items()
    }


def load_files(data: Mapping[str, Iterable[list[Any]]]) -> dict[str, list[DesiredFile]]:
    """Convert the result of `dump_files` back to files by service."""
    return {
        name: [DesiredFile(path, mode, base64.b64decode(content), secret) for path, mode, content, secret in files]
        for name, files in data.items()
    }

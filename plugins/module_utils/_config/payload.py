# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What action plugins send to their modules: opaque, so that nothing of it is shown, and fit for any bytes."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import WantedFile

# A module's only argument besides those that may be shown.
ARGUMENT: dict[str, Any] = {"type": "str", "required": True, "no_log": True}


def dump(data: Any) -> str:
    """Takes data of JSON's types, returns it as the text that a module is given."""
    # The fastest: it goes over one connection, once.
    return base64.b64encode(zlib.compress(json.dumps(data).encode(), 1)).decode("ascii")


def load(text: str) -> Any:
    """Takes what `dump` returned, returns the data."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def dump_files(services: Mapping[str, Iterable[WantedFile]]) -> dict[str, list[list[Any]]]:
    """Takes services and their files, returns them in JSON's types."""
    return {
        name: [[file.path, file.mode, base64.b64encode(file.content).decode("ascii"), file.secret] for file in files]
        for name, files in services.items()
    }


def load_files(data: Mapping[str, Iterable[list[Any]]]) -> dict[str, list[WantedFile]]:
    """Takes what `dump_files` returned, returns the services and their files."""
    return {
        name: [WantedFile(path, mode, base64.b64decode(content), secret) for path, mode, content, secret in files]
        for name, files in data.items()
    }

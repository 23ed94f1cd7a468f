# SPDX-License-Identifier: Apache-2.0
"""Runtimes compared with those that Qinling lists."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run, Sessions
from ansible_collections.qinling.kolla.plugins.module_utils._resources.runtimes import Runtimes

WANTED = {"name": "python3", "image": "i:1"}
RUNTIME = {"name": "python3", "image": "i:1", "status": "available", "trusted": False}


@pytest.mark.parametrize(
    ("runtime", "wanted", "well"),
    [
        (RUNTIME, WANTED, True),
        (RUNTIME, {**WANTED, "trusted": False}, True),
        (RUNTIME, {**WANTED, "trusted": True}, False),
        ({**RUNTIME, "image": "i:2"}, WANTED, False),
        ({**RUNTIME, "status": "error"}, WANTED, False),
        ({**RUNTIME, "name": "other"}, WANTED, False),
    ],
)
def test_differences(runtime: dict[str, Any], wanted: dict[str, Any], well: bool) -> None:
    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            assert params["auth"] == {"username": "reader"}
            self.endpoint = ""

        def log_in(self) -> None:
            pass

        def at(self, endpoint: str) -> Client:
            self.endpoint = endpoint
            return self

        def list(self, kind: str) -> list[dict[str, Any]]:
            assert (kind, self.endpoint) == ("runtime", "http://q")
            return [runtime]

    desired = {"endpoint": "http://q", "reader": {"username": "reader"}, "runtimes": [wanted]}
    found = Runtimes(desired, Run(sessions=Sessions(Client))).differences()
    assert found == ([] if well else ["runtime python3"])

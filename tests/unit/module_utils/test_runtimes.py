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


class Api:
    """Stands for an administrator's client of Qinling, which has one runtime and makes others available at once."""

    wait = 0

    def __init__(self, _params: dict[str, Any]) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.runtimes = [{**RUNTIME, "id": "1"}]

    def log_in(self) -> None:
        pass

    def at(self, _endpoint: str) -> Api:
        return self

    def find(self, _kind: str, name: str) -> dict[str, Any] | None:
        return next((runtime for runtime in self.runtimes if runtime["name"] == name), None)

    def send(self, method: str, path: str, data: Any) -> dict[str, Any]:
        self.sent.append((method, path, data))
        return {**RUNTIME, **data}


@pytest.mark.parametrize("check", [True, False])
def test_apply(check: bool) -> None:
    sessions = Sessions(Api)
    desired: dict[str, Any] = {"endpoint": "http://q", "auth": {"username": "admin"}, "engine": "engine"}
    desired["runtimes"] = [WANTED, {"name": "python3.14", "image": "i:2"}, {**WANTED, "image": "i:3"}]
    runtimes = Runtimes(desired, Run(check=check, sessions=sessions))
    runtimes.apply()
    assert runtimes.done == ["runtime python3.14: registered", "runtime python3: changed image from i:1 to i:3"]
    sent = sessions.logged_in({"username": "admin"}, None, 0).sent
    assert [method for method, _path, _data in sent] == ([] if check else ["POST", "PUT"])

# SPDX-License-Identifier: Apache-2.0
"""Comparison and registration of runtimes."""

from __future__ import annotations

from typing import Any, Self

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run, Sessions
from ansible_collections.qinling.kolla.plugins.module_utils._resources.runtimes import Runtimes

DESIRED = {"name": "python3", "image": "i:1"}
RUNTIME = {"name": "python3", "image": "i:1", "status": "available", "trusted": False}


@pytest.mark.parametrize(
    ("runtime", "desired", "matches"),
    [
        (RUNTIME, DESIRED, True),
        (RUNTIME, {**DESIRED, "trusted": False}, True),
        (RUNTIME, {**DESIRED, "trusted": True}, False),
        ({**RUNTIME, "image": "i:2"}, DESIRED, False),
        ({**RUNTIME, "status": "error"}, DESIRED, False),
        ({**RUNTIME, "name": "other"}, DESIRED, False),
    ],
)
def test_differences(runtime: dict[str, Any], desired: dict[str, Any], matches: bool) -> None:
    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            assert params["auth"] == {"username": "reader"}
            self.endpoint = ""

        def log_in(self) -> None:
            pass

        def at(self, endpoint: str) -> Self:
            self.endpoint = endpoint
            return self

        def list(self, kind: str) -> list[dict[str, Any]]:
            assert (kind, self.endpoint) == ("runtime", "http://q")
            return [runtime]

    resource = {"endpoint": "http://q", "reader": {"username": "reader"}, "runtimes": [desired]}
    found = Runtimes(resource, Run(sessions=Sessions(Client))).differences()  # type: ignore[arg-type]
    assert found == ([] if matches else ["runtime python3"])


class Api:
    """Replaces an administrator's client: Qinling has one runtime, and new runtimes are available immediately."""

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
    sessions: Any = Sessions(Api)  # type: ignore[arg-type]
    desired: dict[str, Any] = {"endpoint": "http://q", "auth": {"username": "admin"}, "engine": "engine"}
    desired["runtimes"] = [DESIRED, {"name": "python3.14", "image": "i:2"}, {**DESIRED, "image": "i:3"}]
    runtimes = Runtimes(desired, Run(check=check, sessions=sessions))
    runtimes.apply()
    assert runtimes.done == ["runtime python3.14: registered", "runtime python3: changed image from i:1 to i:3"]
    sent = sessions.logged_in({"username": "admin"}, None, 0).sent
    requests = [(method, path, data["image"]) for method, path, data in sent]
    assert requests == ([] if check else [("POST", "/runtimes", "i:2"), ("PUT", "/runtimes/1", "i:3")])

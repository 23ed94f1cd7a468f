# SPDX-License-Identifier: Apache-2.0
"""Lists and errors of Docker's API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerRefusedError

NO_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node.'
WORKER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
NO_QUORUM = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
LOCKED = "Swarm is encrypted and needs to be unlocked before it can be used."


def responding(monkeypatch: pytest.MonkeyPatch, status: int, data: Any) -> DockerApi:
    """Return an engine with the same response to every request."""
    monkeypatch.setattr(DockerApi, "get", lambda _self, _url: (status, data))
    return DockerApi("/none")


LISTS: list[tuple[str, Callable[[DockerApi], Any]]] = [
    ("/containers/json", DockerApi.listing),
    ("/containers/json", DockerApi.containers),
    ("/volumes", DockerApi.volumes),
    ("/networks", DockerApi.networks),
    ("/services", lambda docker: docker.swarm_names("services", "a=b")),
]


@pytest.mark.parametrize(("url", "call"), LISTS)
@pytest.mark.parametrize(
    ("status", "data", "message"),
    [
        (500, {"message": "driver failed\n"}, "driver failed"),
        (500, "no JSON", "no JSON"),
        (502, None, "status 502"),
        (403, {}, "status 403"),
    ],
)
def test_error_is_not_an_empty_list(
    url: str, call: Callable[[DockerApi], Any], status: int, data: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DockerRefusedError) as caught:
        call(responding(monkeypatch, status, data))
    assert str(caught.value) == f"{url}: {message}"


@pytest.mark.parametrize("message", [NO_SWARM, WORKER])
def test_node_without_swarm_manager_has_no_services(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert responding(monkeypatch, 503, {"message": message}).swarm_names("configs", "a=b") == []


@pytest.mark.parametrize("message", [LOCKED, NO_QUORUM])
def test_unavailable_swarm_manager_is_an_error(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DockerRefusedError, match=message):
        responding(monkeypatch, 503, {"message": message}).swarm_names("configs", "a=b")


@pytest.mark.parametrize(("data", "volumes"), [({"Volumes": None}, {}), ({"Volumes": [{"Name": "a"}]}, {"a": {}})])
def test_volumes(data: Any, volumes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert responding(monkeypatch, 200, data).volumes() == volumes

# SPDX-License-Identifier: Apache-2.0
"""What Docker's lists mean, and what an error in place of a list means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerRefusedError

NO_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node.'
WORKER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
NO_QUORUM = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
LOCKED = "Swarm is encrypted and needs to be unlocked before it can be used."


def answering(monkeypatch: pytest.MonkeyPatch, status: int, data: Any) -> DockerApi:
    """Return an engine that gives one answer to everything."""
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
def test_an_error_is_not_an_empty_list(
    url: str, call: Callable[[DockerApi], Any], status: int, data: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DockerRefusedError) as caught:
        call(answering(monkeypatch, status, data))
    assert str(caught.value) == f"{url}: {message}"


@pytest.mark.parametrize("message", [NO_SWARM, WORKER])
def test_a_node_that_manages_no_swarm_has_none_of_its_services(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answering(monkeypatch, 503, {"message": message}).swarm_names("configs", "a=b") == []


@pytest.mark.parametrize("message", [LOCKED, NO_QUORUM])
def test_a_manager_that_cannot_tell_is_an_error(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DockerRefusedError, match=message):
        answering(monkeypatch, 503, {"message": message}).swarm_names("configs", "a=b")


@pytest.mark.parametrize(("data", "volumes"), [({"Volumes": None}, {}), ({"Volumes": [{"Name": "a"}]}, {"a": {}})])
def test_volumes(data: Any, volumes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert answering(monkeypatch, 200, data).volumes() == volumes

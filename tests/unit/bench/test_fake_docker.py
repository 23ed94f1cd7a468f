# SPDX-License-Identifier: Apache-2.0
"""The benchmark's fake Docker."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_docker import Engine, Request, Server, answer, matches

IMAGE = "kolla/one:1"


@pytest.fixture
def engine() -> Engine:
    return Engine("host", [IMAGE])


def call(engine: Engine, method: str, path: str, data: Any = None, **query: str) -> tuple[int, Any]:
    """Return status and content of the response to a call."""
    return answer(Request(engine, query, data), method, path)


def start_container(engine: Engine, folder: Path | None = None, **options: Any) -> str:
    """Create and start a container, and return its id."""
    binds = [f"{folder}/:/var/lib/kolla/config_files/:ro", "data:/var/lib/data"] if folder else None
    data = {"Image": IMAGE, "HostConfig": {"Binds": binds}, **options}
    status, created = call(engine, "POST", "/containers/create", data, name="one")
    assert status == 201
    assert call(engine, "POST", f"/containers/{created['Id']}/start")[0] == 204
    return str(created["Id"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/version", 200),
        ("GET", "/info", 200),
        ("GET", f"/images/{IMAGE}/json", 200),
        ("GET", "/images/kolla/two:1/json", 404),
        ("GET", "/containers/json", 200),
        ("GET", "/containers/one/json", 404),
        ("POST", "/containers/one/start", 404),
        ("GET", "/networks/host", 200),
        ("GET", "/networks/other", 404),
        ("DELETE", "/volumes/none", 204),
        ("POST", "/build", 501),
    ],
)
def test_status_codes(engine: Engine, method: str, path: str, status: int) -> None:
    assert call(engine, method, path)[0] == status


def test_lifecycle_of_a_container(engine: Engine, tmp_path: Path) -> None:
    number = start_container(engine, tmp_path, Healthcheck={"Test": ["CMD", "true"]}, Env=["A=b"])
    _status, shown = call(engine, "GET", "/containers/one/json")
    assert shown["Id"] == number
    assert shown["State"]["Health"]["Status"] == "healthy"
    assert shown["Config"]["Env"][-1] == "A=b"
    assert shown["Image"] == call(engine, "GET", f"/images/{IMAGE}/json")[1]["Id"]
    assert list(engine.volumes) == ["data"]
    assert call(engine, "POST", "/containers/create", {"Image": IMAGE}, name="one")[0] == 409
    assert call(engine, "POST", "/containers/one/start")[0] == 304
    assert [item["Status"] for item in call(engine, "GET", "/containers/json")[1]] == ["Up 1 second (healthy)"]
    assert call(engine, "POST", "/containers/one/stop")[0] == 204
    assert call(engine, "GET", "/containers/json")[1] == []
    assert [item["State"] for item in call(engine, "GET", "/containers/json", all="1")[1]] == ["exited"]
    assert call(engine, "DELETE", "/containers/one")[0] == 204
    assert call(engine, "GET", "/containers/one/json")[0] == 404


def test_bootstrap_container_exits_immediately(engine: Engine) -> None:
    number = start_container(engine, Env=["KOLLA_BOOTSTRAP="])
    assert call(engine, "GET", f"/containers/{number}/json")[1]["State"]["Status"] == "exited"
    assert call(engine, "POST", f"/containers/{number}/wait")[1] == {"StatusCode": 0}


@pytest.mark.parametrize(
    ("command", "changed", "code"),
    [
        (["/usr/local/bin/kolla_set_configs", "--check"], False, 0),
        (["/usr/local/bin/kolla_set_configs", "--check"], True, 1),
        (["true"], True, 0),
    ],
)
def test_changed_configuration_is_detected(
    engine: Engine, tmp_path: Path, command: list[str], changed: bool, code: int
) -> None:
    (tmp_path / "a.conf").write_text("a")
    start_container(engine, tmp_path)
    if changed:
        (tmp_path / "a.conf").write_text("b")
    _status, created = call(engine, "POST", "/containers/one/exec", {"Cmd": command})
    assert call(engine, "POST", f"/exec/{created['Id']}/start") == (200, b"")
    assert call(engine, "GET", f"/exec/{created['Id']}/json")[1]["ExitCode"] == code


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"label": ["a=b"]}, True),
        ({"label": ["a"]}, True),
        ({"label": {"a=c": True}}, False),
        ({"name": ["^/one$"]}, True),
        ({"name": ["two"]}, False),
        ({"status": ["running"]}, True),
        ({"status": ["exited"]}, False),
    ],
)
def test_filters(filters: dict[str, Any], expected: bool) -> None:
    item = {"Name": "/one", "Config": {"Labels": {"a": "b"}}, "State": {"Status": "running"}}
    assert matches(item, filters) is expected


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Yield the socket of a running server."""
    path = str(tmp_path / "docker.sock")
    server = Server(path, [IMAGE])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield path
    server.shutdown()
    server.server_close()
    thread.join()


def request(path: str, method: str, url: str, data: Any = None) -> tuple[int, bytes]:
    """Return status and body of the response to a request on a socket."""
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(path)
    connection.request(method, url, json.dumps(data) if data is not None else None)
    found = connection.getresponse()
    body = found.read()
    connection.close()
    connection.sock = None
    return found.status, body


def test_http(server: str) -> None:
    assert request(server, "GET", "/_ping") == (200, b"OK")
    assert request(server, "POST", "/v1.41/containers/create?name=one", {"Image": IMAGE})[0] == 201
    assert len(json.loads(request(server, "GET", "/v1.41/containers/json?all=1")[1])) == 1
    assert request(server, "POST", "/networks/create", {"Name": "other"})[0] == 201
    assert request(server, "POST", "/bench/reset?networks=keep") == (204, b"")
    assert request(server, "GET", "/networks/other")[0] == 200
    assert request(server, "POST", "/bench/reset") == (204, b"")
    assert request(server, "GET", "/networks/other")[0] == 404
    assert json.loads(request(server, "GET", "/containers/json?all=true")[1]) == []

# SPDX-License-Identifier: Apache-2.0
"""Resources of a project besides files and containers, and how they differ."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import keystone_service
from ansible_collections.qinling.kolla.plugins.module_utils._plan import resources

DATABASE = {"kind": "database", "host": "h", "port": "1", "user": "u", "password": "the secret", "name": "qin_ling"}


class Database:
    """Stands for PyMySQL's connection: answers with grants."""

    def __init__(self, *grants: str) -> None:
        self.grants = grants
        self.asked: dict[str, Any] = {}

    def connect(self, **asked: Any) -> Database:
        self.asked = asked
        if asked["password"] != "the secret":
            raise RuntimeError("Access denied for the secret")
        return self

    def cursor(self) -> Database:
        return self

    def execute(self, statement: str) -> None:
        assert statement == "SHOW GRANTS"

    def fetchall(self) -> list[tuple[str]]:
        return [(grant,) for grant in self.grants]

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_error: object) -> None:
        return None


@pytest.mark.parametrize(
    ("grants", "well"),
    [
        (["GRANT USAGE ON *.* TO `u`@`%`", "GRANT ALL PRIVILEGES ON `qin_ling`.* TO `u`@`%`"], True),
        (["GRANT ALL PRIVILEGES ON `qin\\_ling`.* TO `u`@`%`"], True),
        (["GRANT ALL PRIVILEGES ON `qin_ling_more`.* TO `u`@`%`"], False),
        (["GRANT SELECT ON `qin_ling`.* TO `u`@`%`"], False),
        ([], False),
    ],
)
def test_grants(grants: list[str], well: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(*grants)
    monkeypatch.setitem(sys.modules, "pymysql", types.SimpleNamespace(connect=database.connect))
    assert resources.differences(DATABASE)["database"] == ([] if well else ["privileges of u on schema qin_ling"])
    assert (database.asked["port"], database.asked["ssl"]) == (1, None)


def test_what_cannot_be_told_is_missing_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", types.SimpleNamespace(connect=Database().connect))
    assert resources.differences({**DATABASE, "password": "another"}) == {"database": ["database: RuntimeError"]}
    assert resources.differences({"kind": "of a later release"}) == {
        "of a later release": ["of a later release: KeyError"]
    }


FUNCTIONS = {"name": "functions", "driver": "overlay", "attachable": True, "internal": True}
BRIDGE = {"name": "bridge", "driver": "bridge", "subnet": ""}
IN_SUBNET = {**BRIDGE, "subnet": "172.29.0.0/24"}
OVERLAY = {"Driver": "overlay", "Attachable": True, "Internal": True}
OWN = {
    "Driver": "bridge",
    "Attachable": False,
    "Internal": False,
    "IPAM": {"Config": [{"Subnet": "172.29.0.0/24", "Gateway": "172.29.0.1"}]},
}


@pytest.mark.parametrize(
    ("manages", "networks", "found", "words"),
    [
        (True, [FUNCTIONS], {"functions": OVERLAY}, []),
        (True, [], {}, []),
        (True, [FUNCTIONS], {}, ["network functions"]),
        (True, [FUNCTIONS], {"functions": {**OVERLAY, "Internal": False}}, ["network functions"]),
        (True, [FUNCTIONS], {"functions": {**OVERLAY, "Attachable": False}}, ["network functions"]),
        (True, [FUNCTIONS], {"functions": OWN}, ["network functions"]),
        (False, [FUNCTIONS], {"functions": OVERLAY}, ["a Swarm that this Docker manages"]),
        (True, [FUNCTIONS, BRIDGE], {"functions": OVERLAY}, ["network bridge"]),
        (True, [FUNCTIONS, BRIDGE], {"functions": OVERLAY, "bridge": OWN}, []),
        (True, [BRIDGE], {"bridge": OVERLAY}, ["network bridge"]),
        (True, [IN_SUBNET], {"bridge": OWN}, []),
        (True, [IN_SUBNET], {"bridge": {**OWN, "IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}}}, ["network bridge"]),
        (True, [IN_SUBNET], {"bridge": {**OWN, "IPAM": {"Config": None}}}, ["network bridge"]),
    ],
)
def test_swarm(
    manages: bool, networks: Any, found: dict[str, Any], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_self: DockerApi, url: str) -> tuple[int, Any]:
        if url == "/info":
            return 200, {"Swarm": {"ControlAvailable": manages}}
        network = found.get(url.removeprefix("/networks/"))
        return (200, network) if network else (404, {"message": "no such network"})

    monkeypatch.setattr(DockerApi, "get", get)
    swarm = {"kind": "swarm", "docker_host": "unix:///run/docker.sock", "networks": networks}
    assert resources.differences(swarm) == {"swarm": words}


def test_a_docker_elsewhere_or_none_is_left_to_the_work_itself() -> None:
    for docker_host, word in (
        ("tcp://h:1", "state of the Swarm on tcp://h:1 unknown"),
        ("unix:///nowhere", f"swarm: {DockerUnreachableError.__name__}"),
    ):
        assert resources.differences({"kind": "swarm", "docker_host": docker_host}) == {"swarm": [word]}


@pytest.mark.parametrize(
    ("host", "mode", "inside", "words"),
    [
        (b"a\n", 0o660, b"a\n", []),
        (b"b\n", 0o660, b"a\n", ["{path}"]),
        (None, 0o660, b"a\n", ["{path}"]),
        (b"a\n", 0o640, b"a\n", ["owner or mode of {path}"]),
        (b"a\n", 0o4660, b"a\n", ["owner or mode of {path}"]),
        (b"a\n", 0o660, b"b\n", ["/in in proxy"]),
        (b"a\n", 0o660, None, ["/in in proxy"]),
    ],
)
def test_a_file_on_the_host_and_in_a_container(
    host: bytes | None,
    mode: int,
    inside: bytes | None,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "qinling.cfg"
    if host is not None:
        path.write_bytes(host)
        path.chmod(mode)

    def raw(_self: DockerApi, url: str) -> tuple[int, bytes]:
        assert url == "/containers/proxy/archive?path=/in"
        if inside is None:
            return 404, b"{}"
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo("in")
            member.size = len(inside)
            archive.addfile(member, io.BytesIO(inside))
        return 200, stream.getvalue()

    monkeypatch.setattr(DockerApi, "raw", raw)
    file = {"kind": "file", "path": str(path), "content": "a\n", "container": "proxy", "inside": "/in"}
    file |= {"owner": str(os.getuid()), "group": str(os.getgid()), "mode": "0660"}
    assert resources.differences(file) == {"file": [word.format(path=path) for word in words]}


def test_a_file_of_another_owner_differs(tmp_path: Path) -> None:
    path = tmp_path / "qinling.cfg"
    path.write_text("a")
    path.chmod(0o660)
    file = {"kind": "file", "path": str(path), "content": "a", "group": str(os.getgid()), "mode": "0660"}
    for owner in (str(os.getuid() + 1), "nobody-of-this-name"):
        (word,) = resources.differences({**file, "owner": owner})["file"]
        assert word in {f"owner or mode of {path}", "file: KeyError"}


class Client:
    """Stands for somebody who is logged in at Keystone."""

    def __init__(self, *runtimes: dict[str, Any]) -> None:
        self.runtimes = runtimes
        self.endpoint = ""

    def at(self, endpoint: str) -> Client:
        self.endpoint = endpoint
        return self

    def list(self, kind: str) -> list[dict[str, Any]]:
        assert (kind, self.endpoint) == ("runtime", "http://q")
        return list(self.runtimes)


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
def test_one_login_tells_of_keystone_and_of_runtimes(
    runtime: dict[str, Any], wanted: dict[str, Any], well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["wait"] == 0
        return {"missing": ["role r"], "locked_out": [], "client": Client(runtime)}

    monkeypatch.setattr(keystone_service, "look", look)
    service = {"kind": "keystone_service", "endpoint": "http://q", "runtimes": [wanted]}
    runtimes = [] if well else ["runtime python3"]
    assert resources.differences(service) == {"keystone_service": ["role r"], "runtimes": runtimes}


@pytest.mark.parametrize(
    ("error", "words"),
    [(None, ["runtime python3"]), (RuntimeError("no Keystone"), ["keystone_service: RuntimeError"])],
)
def test_runtimes_that_nobody_can_read_differ(
    error: Exception | None, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_service: dict[str, Any]) -> dict[str, Any]:
        if error:
            raise error
        return {"missing": ["login of user q"], "locked_out": ["q"], "client": None}

    monkeypatch.setattr(keystone_service, "look", look)
    service = {"kind": "keystone_service", "endpoint": "http://q", "runtimes": [WANTED]}
    found = resources.differences(service)
    assert found["runtimes"] == words
    assert found["keystone_service"]


def test_all_at_once_by_project_and_kind() -> None:
    static = [{"kind": "static", "differences": words} for words in (["x"], [], ["y"])]
    comparison = resources.Comparison({"a": static, "b": static[1:2], "c": []})
    assert comparison.differences() == {"a": {"static": ["x", "y"]}, "b": {}, "c": {}}

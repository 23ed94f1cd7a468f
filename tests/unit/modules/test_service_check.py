# SPDX-License-Identifier: Apache-2.0
"""All looks are had, whatever one of them does; Qinling is asked through each endpoint."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import qinling_api
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import Answer
from ansible_collections.qinling.kolla.plugins.module_utils._plan import check_results
from ansible_collections.qinling.kolla.plugins.modules import service_check

AUTH = {"auth_url": "http://keystone", "username": "admin", "password": "the secret", "project_name": "admin"}


def test_a_look_that_breaks_or_hangs_disturbs_no_other() -> None:
    over = threading.Event()

    def breaks(_look: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        raise ValueError("broken")

    def hangs(_look: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        over.wait(30)
        return []

    def works(look: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        return [check_results.row(look["service"], "fine", check_results.OK, "")]

    def nothing(_look: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        return []

    kinds = {"breaks": breaks, "hangs": hangs, "works": works, "nothing": nothing}
    listed = [{"kind": kind, "service": "s", "look": ""} for kind in kinds]
    rows = service_check.have({"looks": listed, "seconds": 0.3}, kinds)
    over.set()
    assert rows == [
        check_results.row("s", "breaks", check_results.WRONG, "could not look: ValueError: broken"),
        check_results.row("s", "hangs", check_results.WRONG, "no answer within 0.3 s"),
        check_results.row("s", "fine", check_results.OK, ""),
    ]


LOOK = {
    "kind": "api",
    "service": "qinling-api",
    "type": "function-engine",
    "region": "R",
    "endpoints": [{"interface": name, "url": f"http://{name}"} for name in ("admin", "internal", "public")],
}
CATALOG = (
    b'{"token": {"catalog": [{"type": "function-engine", "endpoints": ['
    b'{"interface": "admin", "region_id": "R", "url": "http://admin"},'
    b'{"interface": "public", "region_id": "R", "url": "http://elsewhere"}]}]}}'
)


def test_each_endpoint_is_asked_with_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def send(method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: float) -> Answer:
        calls.append(f"{method} {url}")
        if url.endswith("/tokens"):
            return Answer(201, {"x-subject-token": "the token"}, CATALOG)
        assert headers["X-Auth-Token"] == "the token"
        if url.startswith("http://internal"):
            raise ConnectionRefusedError("refused")
        if url.endswith("/pool"):
            return Answer(500, {}, b'{"faultstring": "Timed out waiting for a reply"}')
        return Answer(200, {}, b'{"runtimes": [{"id": "7", "name": "python3", "status": "available"}]}')

    monkeypatch.setattr(qinling_api, "http_transport", lambda _ca: send)
    rows = service_check.look_api(LOOK, {"auth": AUTH, "ca_cert": None})
    assert [(row["look"], row["verdict"]) for row in rows] == [
        ("keystone", "ok"),
        ("endpoint admin", "ok"),
        ("endpoint internal", "WRONG"),
        ("endpoint public", "WRONG"),
        ("runtime python3", "WRONG"),
    ]
    assert "connection refused" in rows[2]["detail"]
    assert "http://public answers, but Keystone's catalog says http://elsewhere" in rows[3]["detail"]
    assert "Timed out waiting" in rows[4]["detail"]
    assert calls.count("POST http://keystone/v3/auth/tokens") == 1
    assert "the secret" not in str(rows)


def test_without_a_login_no_endpoint_is_said_to_be_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_call: Any) -> Answer:
        return Answer(401, {}, b'{"error": {"message": "The request you have made requires authentication."}}')

    monkeypatch.setattr(qinling_api, "http_transport", lambda _ca: send)
    rows = service_check.look_api(LOOK, {"auth": AUTH, "ca_cert": None})
    assert [row["verdict"] for row in rows] == ["WRONG"] * 4
    assert "admin" in rows[0]["detail"]


def test_memcached_that_is_not_there() -> None:
    look = {"kind": "memcached", "service": "qinling-api", "servers": ["127.0.0.1:1", "inet6:[::1]:1"]}
    rows = service_check.look_memcached(look, {})
    assert [row["look"] for row in rows] == ["memcached 127.0.0.1:1", "memcached inet6:[::1]:1"]
    assert {row["verdict"] for row in rows} == {"WRONG"}
    assert "refused" in rows[0]["detail"].lower()

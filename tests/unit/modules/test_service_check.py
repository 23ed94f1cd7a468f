# SPDX-License-Identifier: Apache-2.0
"""Independent execution of checks, and the check of Qinling's endpoints."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import qinling_api
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import Response
from ansible_collections.qinling.kolla.plugins.module_utils._plan import check_results
from ansible_collections.qinling.kolla.plugins.modules import service_check

AUTH = {"auth_url": "http://keystone", "username": "admin", "password": "the secret", "project_name": "admin"}


def test_checks_are_independent() -> None:
    finished = threading.Event()

    def breaks(_check: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        raise ValueError("broken")

    def hangs(_check: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        finished.wait(30)
        return []

    def works(check: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        return [check_results.row(check["service"], "fine", check_results.OK, "")]

    def nothing(_check: dict[str, Any], _params: dict[str, Any]) -> list[check_results.Row]:
        return []

    kinds: dict[str, Any] = {"breaks": breaks, "hangs": hangs, "works": works, "nothing": nothing}
    listed = [{"kind": kind, "service": "s", "check": ""} for kind in kinds]
    rows = service_check.run_checks({"checks": listed, "seconds": 0.3}, kinds)
    finished.set()
    assert rows == [
        check_results.row("s", "breaks", check_results.FAILED, "could not check: ValueError: broken"),
        check_results.row("s", "hangs", check_results.FAILED, "no answer within 0.3 s"),
        check_results.row("s", "fine", check_results.OK, ""),
    ]


CHECK = {
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


def test_endpoints_are_checked_with_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def send(method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: float) -> Response:
        calls.append(f"{method} {url}")
        if url.endswith("/tokens"):
            return Response(201, {"x-subject-token": "the token"}, CATALOG)
        assert headers["X-Auth-Token"] == "the token"
        if url.startswith("http://internal"):
            raise ConnectionRefusedError("refused")
        if url.endswith("/pool"):
            return Response(500, {}, b'{"faultstring": "Timed out waiting for a reply"}')
        return Response(200, {}, b'{"runtimes": [{"id": "7", "name": "python3", "status": "available"}]}')

    monkeypatch.setattr(qinling_api, "http_transport", lambda _ca: send)
    rows = service_check.check_api(CHECK, {"auth": AUTH, "ca_cert": None})
    assert [(row["check"], row["result"]) for row in rows] == [
        ("keystone", "ok"),
        ("endpoint admin", "ok"),
        ("endpoint internal", "failed"),
        ("endpoint public", "failed"),
        ("runtime python3", "failed"),
    ]
    assert "connection refused" in rows[2]["detail"]
    assert "http://public answers, but Keystone's catalog has http://elsewhere" in rows[3]["detail"]
    assert "Timed out waiting" in rows[4]["detail"]
    assert calls.count("POST http://keystone/v3/auth/tokens") == 1
    assert "the secret" not in str(rows)


def test_failed_login_fails_all_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_call: Any) -> Response:
        return Response(401, {}, b'{"error": {"message": "The request you have made requires authentication."}}')

    monkeypatch.setattr(qinling_api, "http_transport", lambda _ca: send)
    rows = service_check.check_api(CHECK, {"auth": AUTH, "ca_cert": None})
    assert [row["result"] for row in rows] == ["failed"] * 4
    assert "admin" in rows[0]["detail"]


def test_unreachable_memcached_fails() -> None:
    check = {"kind": "memcached", "service": "qinling-api", "servers": ["127.0.0.1:1", "inet6:[::1]:1"]}
    rows = service_check.check_memcached(check, {})
    assert [row["check"] for row in rows] == ["memcached 127.0.0.1:1", "memcached inet6:[::1]:1"]
    assert {row["result"] for row in rows} == {"failed"}
    assert "refused" in rows[0]["detail"].lower()

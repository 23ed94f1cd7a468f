# SPDX-License-Identifier: Apache-2.0
"""Access to Keystone: requests, their number, and verification, with a small HTTP server as Keystone."""

import datetime
import json
import threading
import types
from collections.abc import Callable, Iterator
from http import server
from typing import Any

import pytest

from qinling_kolla import identity


class FakeKeystone:
    """Answers log-ins and trusts; remembers (method, path, headers, body)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.lifetime = 3600.0
        self.age = 0.0
        fake = self

        class Handler(server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                fake.seen.append((self.command, self.path, dict(self.headers), body))
                status, headers, answer = fake.respond(self.command, self.path)
                raw = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_DELETE = do_POST

            def log_message(self, *_unused: Any) -> None:
                pass

        self.server = server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def respond(self, method: str, path: str) -> tuple[int, dict[str, str], Any]:
        if (method, path) == ("POST", "/v3/auth/tokens"):
            now = datetime.datetime.now(datetime.UTC)
            token = {
                "user": {"id": "service-user", "name": "qinling", "domain": {"id": "default", "name": "Default"}},
                "project": {"id": "p1", "name": "p1", "domain": {"id": "default", "name": "Default"}},
                "roles": [{"id": "r", "name": "member"}],
                "methods": ["password"],
                "issued_at": (now - datetime.timedelta(seconds=self.age)).isoformat(),
                "expires_at": (now + datetime.timedelta(seconds=self.lifetime)).isoformat(),
                "catalog": [
                    {
                        "type": "function-engine",
                        "id": "c",
                        "name": "qinling",
                        "endpoints": [
                            {
                                "interface": "public",
                                "region": "R1",
                                "region_id": "R1",
                                "id": "e",
                                "url": "http://pub:7070",
                            }
                        ],
                    }
                ],
            }
            return 201, {"X-Subject-Token": f"token-{len(self.seen)}"}, {"token": token}
        if (method, path) == ("POST", "/v3/OS-TRUST/trusts"):
            return 201, {}, {"trust": {"id": "t1"}}
        if method == "DELETE":
            return 204, {}, None
        return 404, {}, {}

    def logins(self) -> list[Any]:
        return [
            body["auth"] for method, path, _unused, body in self.seen if path == "/v3/auth/tokens" and method == "POST"
        ]


@pytest.fixture
def keystone(option: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeystone]:
    fake = FakeKeystone()
    thread = threading.Thread(target=fake.server.serve_forever, args=(0.05,))
    thread.start()
    option("keystone_authtoken", "auth_url", fake.url)
    option("keystone_authtoken", "www_authenticate_uri", "http://public.example:5000")
    monkeypatch.setattr(identity, "_service", {})
    monkeypatch.setattr(identity, "_trusts", {})
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://k:5000", "http://k:5000/v3"),
        ("http://k:5000/", "http://k:5000/v3"),
        ("http://k:5000/v3", "http://k:5000/v3"),
        ("http://k/identity/v3/", "http://k/identity/v3"),
    ],
)
def test_v3_url(url: str, expected: str) -> None:
    assert identity.v3_url(url) == expected


@pytest.mark.parametrize(
    ("insecure", "cafile", "expected"),
    [(False, None, True), (False, "/ca.pem", "/ca.pem"), (True, "/ca.pem", False), (True, None, False)],
)
def test_verification(
    conf: Any, option: Callable[..., None], insecure: bool, cafile: str | None, expected: bool | str
) -> None:
    option("keystone_authtoken", "insecure", insecure)
    option("keystone_authtoken", "cafile", cafile)
    from qinling.utils.openstack import keystone as patched

    sessions = [
        identity.service_session(conf),
        identity.user_session(conf, "t"),
        identity.trust_session(conf, "t1"),
        patched.get_service_client().session,
        patched.get_trust_client("t1").session,
    ]
    assert [session.verify for session in sessions] == [expected] * 5


def test_workers_get_the_public_address(conf: Any, keystone: FakeKeystone) -> None:
    assert identity.public_url(conf) == "http://public.example:5000/v3"


def test_token_of_a_trust_is_cached(conf: Any, keystone: FakeKeystone) -> None:
    first = identity.trust_access(conf, "t1")
    assert identity.trust_access(conf, "t1").auth_token == first.auth_token
    assert len(keystone.logins()) == 1
    login = keystone.logins()[0]
    assert login["scope"] == {"OS-TRUST:trust": {"id": "t1"}}
    user = login["identity"]["password"]["user"]
    assert user == {"name": "qinling", "password": "service-secret", "domain": {"name": "Default"}}
    assert identity.trust_access(conf, "t2").auth_token != first.auth_token


def test_token_that_expires_too_early_is_replaced(conf: Any, keystone: FakeKeystone) -> None:
    keystone.lifetime = 400
    first = identity.trust_access(conf, "t1", lifetime=300)
    assert identity.trust_access(conf, "t1", lifetime=300).auth_token == first.auth_token
    keystone.lifetime = 3600
    assert identity.trust_access(conf, "t1", lifetime=360).auth_token != first.auth_token
    assert len(keystone.logins()) == 2


def test_a_token_that_may_have_been_revoked_is_replaced(conf: Any, keystone: FakeKeystone) -> None:
    keystone.age = 301
    first = identity.trust_access(conf, "t1")
    keystone.age = 0
    second = identity.trust_access(conf, "t1")
    assert first.auth_token != second.auth_token == identity.trust_access(conf, "t1").auth_token


def test_forgotten_trusts_log_in_again(conf: Any, keystone: FakeKeystone, monkeypatch: pytest.MonkeyPatch) -> None:
    first = identity.trust_access(conf, "t1")
    identity.forget("t1")
    assert identity.trust_access(conf, "t1").auth_token != first.auth_token
    monkeypatch.setattr(identity, "_MAX_CACHED", 2)
    for trust in ("t2", "t3", "t4"):
        identity.trust_access(conf, trust)
    assert [key[0] for key in identity._trusts] == ["t3", "t4"]


def test_creating_a_trust(keystone: FakeKeystone, ctx: Any) -> None:
    from qinling.utils.openstack import keystone as patched

    assert patched.create_trust().id == "t1"
    assert patched.create_trust().id == "t1"
    assert len(keystone.logins()) == 1, "the service user's ID is queried once"
    _unused, _unused, headers, body = next(entry for entry in keystone.seen if entry[1] == "/v3/OS-TRUST/trusts")
    assert headers["X-Auth-Token"] == "user-token"
    trust = body["trust"]
    assert trust["trustor_user_id"] == "u1"
    assert trust["trustee_user_id"] == "service-user"
    assert trust["project_id"] == "p1"
    assert trust["impersonation"] is True
    assert trust["roles"] == [{"name": "member"}]


def test_deleting_a_trust(keystone: FakeKeystone, ctx: Any) -> None:
    from qinling.utils.openstack import keystone as patched

    patched.delete_trust(None)
    assert keystone.seen == []
    patched.delete_trust("t1")
    method, path, headers, _unused = keystone.seen[0]
    assert (method, path, headers["X-Auth-Token"]) == ("DELETE", "/v3/OS-TRUST/trusts/t1", "user-token")


def test_failed_deletion_of_a_trust_is_only_logged(
    keystone: FakeKeystone, ctx: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from qinling.utils.openstack import keystone as patched

    monkeypatch.setattr(keystone, "respond", lambda *_: (403, {}, {"error": {"code": 403, "message": "not yours"}}))
    patched.delete_trust("t1")
    assert [entry[:2] for entry in keystone.seen] == [("DELETE", "/v3/OS-TRUST/trusts/t1")]
    assert caplog.messages == ["Failed to delete a function's trust"]


def test_context_of_a_trust(conf: Any, keystone: FakeKeystone, option: Callable[..., None]) -> None:
    from qinling.utils.openstack import keystone as patched

    option("pecan", "auth_enable", True)
    result = patched.create_trust_context("t1", "p7")
    assert (result.user_id, result.project_id, result.trust_id, result.is_trust_scoped) == (
        "service-user",
        "p7",
        "t1",
        True,
    )
    assert result.auth_token == identity.trust_access(conf, "t1").auth_token
    # An image function has no trust and needs no request.
    keystone.seen.clear()
    assert patched.create_trust_context(None, "p7").project_id == "p7"
    assert keystone.seen == []
    option("pecan", "auth_enable", False)
    assert patched.create_trust_context("t1", "p7").is_admin


def test_endpoint(conf: Any, keystone: FakeKeystone, option: Callable[..., None]) -> None:
    from qinling.utils.openstack import keystone as patched

    assert patched.get_qinling_endpoint() == "http://api.example:7070"
    conf.set_override("qinling_endpoint", None)
    try:
        assert patched.get_qinling_endpoint() == "http://pub:7070"
        option("keystone_authtoken", "region_name", "elsewhere")
        with pytest.raises(RuntimeError, match="qinling_endpoint"):
            patched.get_qinling_endpoint()
    finally:
        conf.clear_override("qinling_endpoint")


def test_swift_uses_the_requests_own_token(
    conf: Any, ctx: Any, monkeypatch: pytest.MonkeyPatch, option: Callable[..., None]
) -> None:
    import pecan
    from qinling.utils.openstack import keystone as patched

    option("keystone_authtoken", "cafile", "/ca.pem")
    plugin = types.SimpleNamespace(has_user_token=True)
    monkeypatch.setattr(pecan, "request", types.SimpleNamespace(environ={"keystone.token_auth": plugin}))
    session = patched._get_user_keystone_session()
    assert session.auth is plugin
    assert session.verify == "/ca.pem"
    monkeypatch.setattr(pecan, "request", types.SimpleNamespace(environ={}))
    session = patched._get_user_keystone_session()
    assert session.auth.auth_methods[0].token == "user-token"
    assert session.verify == "/ca.pem"

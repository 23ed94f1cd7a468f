# SPDX-License-Identifier: Apache-2.0
"""What the answers of a database server mean. tests/testinfra/test_resources.py has a real server."""

from __future__ import annotations

import ssl
import sys
import types
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.database import Database
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run

DESIRED = {
    **{"kind": "database", "host": "h", "port": "1", "tls": False, "ca_cert": ""},
    **{"name": "qin_ling", "user": "u", "password": "the secret"},
    **{"admin_user": "root", "admin_password": "another secret"},
}


class Server:
    """Stands for PyMySQL and its connection: refuses with an error, or answers with grants."""

    def __init__(self, *grants: str, error: Exception | None = None) -> None:
        self.grants = grants
        self.error = error
        self.requested: dict[str, Any] = {}

    def connect(self, **requested: Any) -> Server:
        self.requested = requested
        if self.error:
            raise self.error
        return self

    def cursor(self) -> Server:
        return self

    def execute(self, statement: str, values: tuple[str, ...]) -> None:
        assert (statement, values) == ("SHOW GRANTS", ())

    def fetchall(self) -> list[tuple[str]]:
        return [(grant,) for grant in self.grants]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: object) -> None:
        return None


def database(monkeypatch: pytest.MonkeyPatch, server: Server, run: Run | None = None) -> Database:
    library = types.SimpleNamespace(connect=server.connect, Error=RuntimeError)
    monkeypatch.setitem(sys.modules, "pymysql", library)
    return Database(DESIRED, run or Run())


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
    server = Server(*grants)
    assert database(monkeypatch, server).differences() == ([] if well else ["privileges of u on schema qin_ling"])
    assert (server.requested["port"], server.requested["ssl"], server.requested["database"]) == (1, None, "qin_ling")


def unverified() -> RuntimeError:
    """Return the error with which PyMySQL refuses a certificate."""
    error = RuntimeError(2003, "Can't connect: self-signed")
    vars(error)["original_exception"] = ssl.SSLCertVerificationError("self-signed")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError(1045, "Access denied for user 'root'"), QinlingError, "database_password in passwords.yml"),
        (RuntimeError(2003, "Connection refused"), UnansweredError, "within 0 seconds: Connection refused; start it"),
        (RuntimeError(1290, "running with --read-only"), QinlingError, "running with --read-only"),
        (unverified(), QinlingError, "self-signed; expected a certificate of this name that a CA of the system"),
    ],
)
def test_why_it_cannot_be_applied(
    error: Exception, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(kind, match=f"database server h:1.*{words}") as raised:
        database(monkeypatch, Server(error=error)).apply()
    assert type(raised.value) is kind


def test_a_host_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(QinlingError, match=r"PyMySQL.*The playbook qinling.kolla.bootstrap_servers installs it."):
        Database(DESIRED, Run()).apply()


def test_tls_is_verified_with_or_without_a_file_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    for desired in ({"tls": True}, {"tls": True, "ca_cert": "/etc/ssl/certs/ca-certificates.crt"}):
        resource = database(monkeypatch, server)
        resource.desired = {**DESIRED, **desired}
        resource.differences()
        assert server.requested["ssl"].verify_mode == ssl.CERT_REQUIRED
        assert server.requested["ssl"].check_hostname


class Proxy(Server):
    """Stands for ProxySQL, which lets in whom it knows; the server behind it refuses the user's queries."""

    def execute(self, statement: str, values: tuple[str, ...]) -> int:
        if self.requested["user"] == "u" and statement == "SELECT CURRENT_USER()":
            raise RuntimeError(1045, "Access denied for user 'u'")
        self.grants = ("GRANT ALL PRIVILEGES ON `qin_ling`.*",)
        return 1


def test_a_login_at_a_proxy_alone_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = database(monkeypatch, Proxy())
    resource.apply()
    assert resource.done == ["password of user u"]

# SPDX-License-Identifier: Apache-2.0
"""Responses of a database server. tests/testinfra/test_resources.py uses a real server."""

from __future__ import annotations

import ssl
import sys
from typing import Any
from unittest.mock import create_autospec

import pymysql
import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.database import Database
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run

CONNECT = pymysql.connect
DESIRED = {
    **{"kind": "database", "host": "h", "port": "1", "tls": False, "ca_cert": ""},
    **{"name": "qin_ling", "user": "u", "password": "the secret"},
    **{"admin_user": "root", "admin_password": "another secret"},
}


class Server:
    """Replaces a connection of PyMySQL: raises an error, or returns grants."""

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
    # Accepts only the arguments of the real function.
    monkeypatch.setattr(pymysql, "connect", create_autospec(CONNECT, side_effect=server.connect))
    return Database(DESIRED, run or Run())


@pytest.mark.parametrize(
    ("grants", "granted"),
    [
        (["GRANT USAGE ON *.* TO `u`@`%`", "GRANT ALL PRIVILEGES ON `qin_ling`.* TO `u`@`%`"], True),
        (["GRANT ALL PRIVILEGES ON `qin\\_ling`.* TO `u`@`%`"], True),
        (["GRANT ALL PRIVILEGES ON `qin_ling_more`.* TO `u`@`%`"], False),
        (["GRANT SELECT ON `qin_ling`.* TO `u`@`%`"], False),
        ([], False),
    ],
)
def test_grants(grants: list[str], granted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(*grants)
    assert database(monkeypatch, server).differences() == ([] if granted else ["privileges of u on schema qin_ling"])
    assert (server.requested["port"], server.requested["ssl"], server.requested["database"]) == (1, None, "qin_ling")


def unverified() -> pymysql.OperationalError:
    """Return PyMySQL's error for an invalid certificate."""
    error = pymysql.OperationalError(2003, "Can't connect: self-signed")
    vars(error)["original_exception"] = ssl.SSLCertVerificationError("self-signed")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            pymysql.OperationalError(1045, "Access denied for user 'root'"),
            QinlingError,
            "database_password in passwords.yml",
        ),
        (
            pymysql.OperationalError(2003, "Connection refused"),
            UnreachableError,
            "within 0 seconds: Connection refused; start",
        ),
        (pymysql.OperationalError(1290, "running with --read-only"), QinlingError, "running with --read-only"),
        (unverified(), QinlingError, "self-signed; expected a certificate for this name, signed by a CA of the system"),
    ],
)
def test_apply_reports_the_cause_of_a_failure(
    error: Exception, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(kind, match=f"database server h:1.*{words}") as raised:
        database(monkeypatch, Server(error=error)).apply()
    assert raised.type is kind


def test_missing_library_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(QinlingError, match=r"PyMySQL.*Run the playbook qinling.kolla.bootstrap_servers to install it."):
        Database(DESIRED, Run()).apply()


def test_tls_is_verified_with_and_without_ca_cert(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    for desired in ({"tls": True}, {"tls": True, "ca_cert": "/etc/ssl/certs/ca-certificates.crt"}):
        resource = database(monkeypatch, server)
        resource.desired = {**DESIRED, **desired}
        resource.differences()
        assert server.requested["ssl"].verify_mode == ssl.CERT_REQUIRED
        assert server.requested["ssl"].check_hostname


class Proxy(Server):
    """Replaces ProxySQL, which accepts its own users, while the server behind it rejects the user's queries."""

    def execute(self, statement: str, values: tuple[str, ...]) -> int:  # type: ignore[override]
        if self.requested["user"] == "u" and statement == "SELECT CURRENT_USER()":
            raise pymysql.OperationalError(1045, "Access denied for user 'u'")
        self.grants = ("GRANT ALL PRIVILEGES ON `qin_ling`.*",)
        return 1


def test_login_requires_a_query_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = database(monkeypatch, Proxy())
    resource.apply()
    assert resource.done == ["password of user u"]

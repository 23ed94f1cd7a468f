# SPDX-License-Identifier: Apache-2.0
"""Patches of database sessions, the etcd client, package storage, and the log filter."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qinling_kolla.patches.compat import database_facade
from qinling_kolla.patches.security import etcd_client, log_secrets

from .conftest import make_package

FUNCTION = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def storage(conf: Any, tmp_path: Path, option: Callable[..., None]) -> Any:
    from qinling.storage import file_system

    option("storage", "file_system_dir", str(tmp_path))
    return file_system.FileSystemStorage(conf)


def test_packages_of_versions(storage: Any, tmp_path: Path) -> None:
    contents = {}
    for version in (10, 1, 2):
        contents[version] = make_package(f"x = {version}")
        _unused, md5 = storage.store("p", FUNCTION, contents[version])
        storage.copy("p", FUNCTION, md5, version - 1)
    # A function's own package whose checksum starts like a version.
    (tmp_path / "p" / f"{FUNCTION}_{'1' * 32}.zip").write_bytes(b"own")
    for version, content in contents.items():
        with storage.retrieve("p", FUNCTION, None, version=version) as file:
            assert file.read() == content
    storage.delete("p", FUNCTION, None, version=1)
    storage.delete("p", FUNCTION, None, version=1)
    with storage.retrieve("p", FUNCTION, None, version=10) as file:
        assert file.read() == contents[10]
    with storage.retrieve("p", FUNCTION, "1" * 32) as file:
        assert file.read() == b"own"
    storage.delete("p", FUNCTION, "1" * 32)
    assert not (tmp_path / "p" / f"{FUNCTION}_{'1' * 32}.zip").exists()


@pytest.mark.parametrize("project", ["p", "none"])
def test_a_version_without_a_package(storage: Any, tmp_path: Path, project: str) -> None:
    from qinling import exceptions as exc

    (tmp_path / "p").mkdir()
    with pytest.raises(exc.StorageNotFoundException):
        storage.retrieve(project, FUNCTION, None, version=1)
    storage.delete(project, FUNCTION, None, version=1)


MYSQL = "mysql+pymysql://u:p@h/d"


@pytest.mark.parametrize(
    ("parameters", "url", "expected"),
    [
        ("", MYSQL, "connect_timeout=5&read_timeout=15&write_timeout=15"),
        ("a=1&read_timeout=7", MYSQL, "a=1&read_timeout=7&connect_timeout=5&write_timeout=15"),
        ("", MYSQL + "?connect_timeout=1&charset=utf8", "read_timeout=15&write_timeout=15"),
        ("", "sqlite://", ""),
        ("x=1", "not a url", "x=1"),
    ],
)
def test_time_limits_of_the_database(parameters: str, url: str, expected: str) -> None:
    assert database_facade.with_timeouts(parameters, url) == expected


def test_a_database_that_is_down_fails_at_once_and_shows_no_parameters(conf: Any, option: Callable[..., None]) -> None:
    import sqlalchemy as sa

    option("database", "connection", "mysql+pymysql://u:p@127.0.0.1:9/d")
    option("database", "max_retries", -1)
    facade = database_facade.make_facade(conf)
    result: list[BaseException] = []

    def use() -> None:
        try:
            facade.get_session().execute(sa.text("SELECT :x"), {"x": "4111"})
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(10)
    assert len(result) == 1
    assert "Can't connect" in str(result[0])
    assert facade.get_engine().hide_parameters


def test_sessions(db: Any, ctx: Any) -> None:
    from qinling.db import base

    with pytest.raises(ValueError, match="autocommit"):
        base.get_session(autocommit=True)

    def fail_in_transaction() -> None:
        with db.transaction():
            db.create_runtime({"image": "a", "status": "creating"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_transaction()
    assert db.get_runtimes() == []
    with db.transaction():
        result = db.create_runtime({"image": "a", "status": "creating"})
        result.status = "available"
    # Readable after the commit, changed by the commit, and no session is left.
    assert (result.image, db.get_runtime(result.id).status) == ("a", "available")
    assert base._get_thread_local_session() is None


def test_a_failed_statement_leaves_no_session(db: Any) -> None:
    from oslo_db import exception as db_exc
    from qinling.db import base

    with pytest.raises(db_exc.DBError):
        db.create_runtime({"image": "a", "status": None})
    assert base._get_thread_local_session() is None
    assert db.get_runtimes() == []


@pytest.mark.parametrize(
    ("settings", "verify", "cert", "trust_env"),
    [
        ({"protocol": "http"}, True, None, False),
        ({"protocol": "https", "ca_cert": "/ca"}, "/ca", ("/c", "/k"), False),
        ({"protocol": "https", "ca_cert": "", "cert_file": ""}, True, None, True),
        ({"protocol": "https", "ca_cert": "/ca", "cert_key": ""}, "/ca", None, False),
    ],
)
def test_etcd_client(
    conf: Any,
    option: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    verify: bool | str,
    cert: tuple[str, str] | None,
    trust_env: bool,
) -> None:
    from qinling.utils import etcd_util

    for name, value in {"host": "h", "port": 1, "cert_file": "/c", "cert_key": "/k", **settings}.items():
        option("etcd", name, value)
    monkeypatch.setattr(etcd_util, "CLIENT", None)
    client = etcd_util.get_client()
    assert (client.session.verify, client.session.cert, client.session.trust_env) == (verify, cert, trust_env)
    assert client.timeout == etcd_client.TIMEOUT_SECONDS
    assert client.host == "h"


def test_deleting_a_version_keeps_other_versions(etcd: Any) -> None:
    from qinling.utils import etcd_util

    etcd.data = {"f_1/service_url": "u", "f_1/worker_a": "a", "f_10/worker_b": "b", "f_0/worker_c": "c"}
    etcd_util.delete_function("f", 1)
    assert set(etcd.data) == {"f_10/worker_b", "f_0/worker_c"}


def test_etcd_client_is_created_once(conf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qinling.utils import etcd_util

    monkeypatch.setattr(etcd_util, "CLIENT", None)
    assert etcd_util.get_client() is etcd_util.get_client()


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("id=%s, input=%s", ("1", {"a": 1}), "id=1, input=***"),
        ("id=%s, input=%s", ("1", None), "id=1, input=None"),
        ("100%% of %d, token=%s done", (3, "t"), "100% of 3, token=*** done"),
        (
            "params: %s",
            ({"name": "n", "package": "zip", "function_input": None},),
            "params: {'name': 'n', 'package': '***', 'function_input': None}",
        ),
        (
            "%s [params=%s]",
            ("x", {"deep": [{"input": 1}], "ok": {"token": 2}}),
            "x [params={'deep': [{'input': '***'}], 'ok': {'token': '***'}}]",
        ),
        ("%(input)s %(id)s", ({"input": "s", "id": 1},), "*** 1"),
        ("plain", (), "plain"),
    ],
)
def test_masking(conf: Any, text: str, arguments: tuple[Any, ...], expected: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, text, arguments, None)
    assert log_secrets.SecretsFilter().filter(record)
    assert record.getMessage() == expected

# SPDX-License-Identifier: Apache-2.0
"""Patches of the API, through its whole WSGI application."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exc

from .conftest import make_package

Call = Callable[..., Any]

PACKAGE = json.dumps({"source": "package"})
BAD_IMAGE = "alpine\n  securityContext:\n    privileged: true"


@pytest.fixture
def runtime(call: Call, db: Any) -> str:
    """Create an available runtime."""
    identifier = call("POST", "/v1/runtimes", {"image": "python:1"}).json["id"]
    db.update_runtime(identifier, {"status": "available"})
    return str(identifier)


@pytest.fixture
def function(call: Call, runtime: str, package: bytes) -> str:
    """Create a package function."""
    response = call("POST", "/v1/functions", form={"code": PACKAGE, "runtime_id": runtime, "package": package})
    assert response.status_int == 201, response.text
    return str(response.json["id"])


def message(response: Any) -> str:
    return str(json.loads(response.body)["faultstring"])


def test_a_package_is_downloaded(call: Call, function: str, package: bytes) -> None:
    response = call("GET", f"/v1/functions/{function}?download=true")
    assert (response.status_int, response.body) == (200, package)


def test_versions_without_authentication(call: Call, function: str, package: bytes, folder: Path) -> None:
    response = call("POST", f"/v1/functions/{function}/versions", {"description": "first"})
    assert response.status_int == 201, response.text
    response = call("GET", f"/v1/functions/{function}/versions/1?download=true")
    assert (response.status_int, response.body) == (200, package)
    assert call("DELETE", f"/v1/functions/{function}/versions/1").status_int == 204
    assert [path.name for path in folder.glob(f"default/{function}_1_*")] == []


def test_a_webhook_without_a_version(call: Call, function: str, engine_client: Any, db: Any) -> None:
    for body in ({"function_id": function}, {"function_id": function, "function_version": None}):
        response = call("POST", "/v1/webhooks", body)
        assert response.status_int == 201, response.text
        assert response.json["function_version"] == 0
        response = call("POST", f"/v1/webhooks/{response.json['id']}/invoke", {"name": "x"})
        assert response.status_int == 202, response.text
    (_unused, function_id, version, _unused), arguments = engine_client.named("create_execution")[0]
    assert (function_id, version, arguments["is_sync"]) == (function, 0, False)


def test_version_stored_as_null(call: Call, function: str, db: Any) -> None:
    from qinling.db import base

    webhook = call("POST", "/v1/webhooks", {"function_id": function}).json["id"]
    with base.get_engine().begin() as connection:
        connection.execute(sa.text("UPDATE webhooks SET function_version = NULL"))
    assert call("GET", f"/v1/webhooks/{webhook}").json["function_version"] == 0
    assert call("POST", f"/v1/webhooks/{webhook}/invoke", {}).status_int == 202


def test_an_alias_without_a_version(call: Call, function: str, engine_client: Any) -> None:
    response = call("POST", "/v1/aliases", {"name": "a", "function_id": function})
    assert response.status_int == 201, response.text
    response = call("POST", "/v1/executions", {"function_alias": "a", "sync": False})
    assert response.status_int == 201, response.text
    webhook = call("POST", "/v1/webhooks", {"function_alias": "a"})
    assert webhook.status_int == 201, webhook.text
    assert webhook.json["function_version"] is None, "the alias decides"
    assert call("POST", f"/v1/webhooks/{webhook.json['id']}/invoke", {}).status_int == 202


def test_the_image_of_a_runtime_that_has_a_function(
    call: Call, runtime: str, function: str, engine_client: Any, etcd: Any
) -> None:
    response = call("PUT", f"/v1/runtimes/{runtime}", {"image": "python:2"})
    assert response.status_int == 200, response.text
    assert (response.json["id"], response.json["status"], response.json["image"]) == (runtime, "upgrading", "python:2")
    assert engine_client.named("update_runtime") == [((runtime,), {"image": "python:2", "pre_image": "python:1"})]


def test_the_image_of_a_runtime_that_has_workers_in_use(call: Call, runtime: str, function: str, etcd: Any) -> None:
    etcd.data[f"{function}_0/service_url"] = "http://worker"
    response = call("PUT", f"/v1/runtimes/{runtime}", {"image": "python:2"})
    assert response.status_int == 403
    assert runtime in message(response)
    assert call("GET", f"/v1/runtimes/{runtime}").json["status"] == "available"


def test_other_updates_of_a_runtime(call: Call, runtime: str, engine_client: Any) -> None:
    response = call("PUT", f"/v1/runtimes/{runtime}", {"name": "new", "image": "python:1"})
    assert (response.json["name"], response.json["status"]) == ("new", "available")
    assert engine_client.named("update_runtime") == []


def test_engine_is_called_after_the_commit(
    call: Call, runtime: str, engine_client: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def update(identifier: str, **kwargs: Any) -> None:
        seen.append(db.get_runtime(identifier).status)
        db.update_runtime(identifier, {"status": "available"})

    monkeypatch.setattr(engine_client, "update_runtime", update, raising=False)
    assert call("PUT", f"/v1/runtimes/{runtime}", {"image": "python:2"}).status_int == 200
    assert seen == ["upgrading"]
    assert call("GET", f"/v1/runtimes/{runtime}").json["status"] == "available"


def test_update_that_does_not_reach_the_engine_is_reverted(
    call: Call, runtime: str, engine_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qinling import exceptions as exc

    def fail(*_unused: Any, **__: Any) -> None:
        raise exc.QinlingException("no queue")

    monkeypatch.setattr(engine_client, "update_runtime", fail, raising=False)
    assert call("PUT", f"/v1/runtimes/{runtime}", {"image": "python:2"}).status_int == 500
    found = call("GET", f"/v1/runtimes/{runtime}").json
    assert (found["status"], found["image"]) == ("available", "python:1")


@pytest.mark.parametrize("image", [BAD_IMAGE, "UPPER", "", "a b"])
def test_bad_image_of_a_runtime(call: Call, runtime: str, image: str, engine_client: Any) -> None:
    engine_client.calls.clear()
    for method, path in (("POST", "/v1/runtimes"), ("PUT", f"/v1/runtimes/{runtime}")):
        response = call(method, path, {"image": image})
        assert response.status_int == 400, response.text
        assert "Invalid image name" in message(response)
    assert engine_client.calls == []


EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
FORMS = [
    ({"code": json.dumps({"source": "image", "image": BAD_IMAGE})}, "Invalid image name"),
    ({"code": json.dumps({"source": "image"})}, "Invalid image name None"),
    ({"code": "{"}, "Invalid code"),
    ({"code": "[]"}, "Invalid code"),
    ({"code": PACKAGE, "runtime_id": "RUNTIME", "package": b"x", "entry": "main"}, "Invalid entry 'main'"),
    ({"code": PACKAGE, "runtime_id": "RUNTIME", "package": b"x", "entry": "os.system('id').x"}, "Invalid entry"),
    ({"code": PACKAGE, "runtime_id": "RUNTIME"}, "'package'"),
    ({"code": PACKAGE, "runtime_id": "RUNTIME", "package": "text"}, "'package'"),
    (
        {"code": json.dumps({"source": "package", "md5sum": "../../x"}), "runtime_id": "RUNTIME", "package": b"x"},
        "Invalid md5sum",
    ),
    ({"code": json.dumps({"source": "wood"})}, "Invalid code source"),
    ({"code": PACKAGE, "runtime_id": "RUNTIME", "package": b"PK no zip"}, "not a valid ZIP"),
    (
        {"code": json.dumps({"source": "package", "md5sum": "0" * 32}), "runtime_id": "RUNTIME", "package": EMPTY_ZIP},
        "md5 mismatch",
    ),
    ({"code": PACKAGE, "runtime_id": "RUNTIME", "package": EMPTY_ZIP, "name": "n" * 256}, "name is longer than 255"),
    ({"name": "no code"}, "Required param is missing"),
]


@pytest.mark.parametrize(("form", "expected"), FORMS)
def test_faulty_functions(
    call: Call,
    runtime: str,
    form: dict[str, Any],
    expected: str,
    option: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qinling.utils.openstack import keystone

    trusts: list[int] = []
    monkeypatch.setattr(keystone, "create_trust", lambda: trusts.append(1))
    form = {key: runtime if value == "RUNTIME" else value for key, value in form.items()}
    response = call("POST", "/v1/functions", form=form)
    assert response.status_int == 400, response.text
    assert expected in message(response)
    assert trusts == []
    assert call("GET", "/v1/functions").json == {"functions": []}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"entry": "no-good"}, "Invalid entry"),
        ({"code": "{"}, "Invalid code"),
        ({"code": json.dumps({"source": "package", "md5sum": "../../x"})}, "Invalid md5sum"),
        ({"code": json.dumps({"source": "package", "md5sum": "0" * 32})}, "no package was uploaded"),
        ({"package": "text"}, "'package'"),
        ({"package": b"PK no zip"}, "not a valid ZIP"),
        ({"package": EMPTY_ZIP, "code": json.dumps({"source": "package", "md5sum": "0" * 32})}, "md5 mismatch"),
        ({"description": "d" * 256}, "description is longer than 255"),
    ],
)
def test_faulty_changes_of_a_function(
    call: Call, function: str, package: bytes, form: dict[str, Any], expected: str, engine_client: Any
) -> None:
    engine_client.calls.clear()
    response = call("PUT", f"/v1/functions/{function}", form=form)
    assert response.status_int == 400, response.text
    assert expected in message(response)
    assert engine_client.calls == []
    assert call("GET", f"/v1/functions/{function}?download=true").body == package


def test_good_changes_of_a_function(call: Call, function: str) -> None:
    changed = make_package("def other(**kwargs):\n    return 2\n")
    response = call("PUT", f"/v1/functions/{function}", form={"package": changed, "entry": "main.other", "name": "n"})
    assert response.status_int == 200, response.text
    assert (response.json["entry"], response.json["name"]) == ("main.other", "n")
    assert call("GET", f"/v1/functions/{function}?download=true").body == changed


def test_an_image_function(call: Call, db: Any) -> None:
    response = call("POST", "/v1/functions", form={"code": json.dumps({"source": "image", "image": "alpine:3"})})
    assert response.status_int == 201, response.text
    assert response.json["entry"] is None


def test_a_project_id_of_a_member(call: Call, application: Any, db: Any) -> None:
    assert call("GET", "/v1/functions?project_id=other").status_int == 200


@pytest.mark.parametrize("status", ["done", "cancelled"])
def test_a_function_whose_jobs_are_finished_can_be_deleted(
    call: Call, function: str, db: Any, folder: Path, status: str
) -> None:
    job = call("POST", "/v1/jobs", {"function_id": function, "pattern": "0 * * * *"}).json["id"]
    assert call("DELETE", f"/v1/functions/{function}").status_int == 403
    db.update_job(job, {"status": status})
    response = call("DELETE", f"/v1/functions/{function}")
    assert response.status_int == 204, response.text
    assert call("GET", f"/v1/jobs/{job}").status_int == 404


SECRET_SQL = "(pymysql.err.OperationalError) (2003, 'db.internal') [SQL: SELECT secret FROM runtimes]"


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_unused: Any, **__: Any) -> Any:
        raise error

    return fail


def operational() -> Exception:
    return sa.exc.OperationalError("SELECT secret FROM runtimes", {}, Exception("db.internal refused"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (db_exc.DBConnectionError(Exception(SECRET_SQL)), 503),
        (operational(), 503),
        (sa.exc.TimeoutError("QueuePool limit [SQL: secret]"), 503),
        (sa.exc.InterfaceError("SELECT secret", {}, Exception("db.internal")), 503),
        (db_exc.DBDataError(Exception("Data too long [SQL: secret]")), 400),
        (db_exc.DBDuplicateEntry(["secret"], Exception("[SQL: secret]")), 409),
        (db_exc.DBReferenceError("secret", "SQL", "secret", "secret", Exception("[SQL: secret]")), 409),
        (db_exc.DBError(Exception("[SQL: secret]")), 500),
        (sa.exc.ProgrammingError("SELECT secret", {}, Exception("no table")), 500),
        (KeyError("secret"), 500),
    ],
)
@pytest.mark.parametrize(
    ("method", "path", "data", "name"),
    [
        ("GET", "/v1/runtimes", None, "get_runtimes"),
        ("DELETE", "/v1/aliases/a", None, "delete_function_alias"),
        ("GET", "/v1/functions/f", None, "get_function"),
        ("POST", "/v1/webhooks/0f0f/invoke", {}, "get_webhook"),
    ],
)
def test_internal_failures(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    method: str,
    path: str,
    data: Any,
    name: str,
) -> None:
    from qinling.db import api

    monkeypatch.setattr(api, name, failing(error))
    response = call(method, path, data)
    assert response.status_int == status, response.text
    for word in ("secret", "SQL", "SELECT", "db.internal", "Traceback", "pymysql"):
        assert word not in response.text
    assert len(message(response)) > 10


def test_failed_query_is_an_outage(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qinling wraps an error of a query in its own DBError (400), with the SQL in the text."""
    from sqlalchemy.orm import Query

    monkeypatch.setattr(Query, "all", failing(db_exc.DBConnectionError(Exception(SECRET_SQL))))
    response = call("GET", "/v1/functions")
    assert response.status_int == 503
    assert message(response) == "The database is temporarily unavailable, please try again later."


def test_etcd_that_does_not_answer(call: Call, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from etcd3gw import exceptions
    from qinling.utils import etcd_util

    monkeypatch.setattr(etcd_util, "get_client", failing(exceptions.ConnectionFailedError("etcd.internal")))
    response = call("DELETE", f"/v1/functions/{function}")
    assert response.status_int == 503
    assert "etcd.internal" not in response.text


def test_intended_responses_are_unchanged(call: Call, function: str) -> None:
    assert call("GET", "/v1/functions/none").status_int == 404
    assert call("GET", "/v1/runtimes/none").status_int == 400
    assert call("POST", "/v1/executions", {}).status_int == 400
    image = call("POST", "/v1/functions", form={"code": json.dumps({"source": "image", "image": "alpine"})}).json["id"]
    assert call("GET", f"/v1/functions/{image}?download=true").status_int == 405


@pytest.mark.parametrize(("token", "expected"), [("gAAAA-secret-token", "Auth token is invalid"), (None, "required")])
def test_tokens_are_not_echoed(call: Call, option: Callable[..., None], token: str | None, expected: str) -> None:
    option("pecan", "auth_enable", True)
    response = call("GET", "/v1/runtimes", **({"X_Auth_Token": token} if token else {}))
    assert response.status_int == 401
    everything = response.text + str(response.headers)
    assert "secret-token" not in everything
    assert expected in everything


def test_inputs_are_not_logged(
    call: Call, function: str, package: bytes, runtime: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "card-4111"
    with caplog.at_level(logging.DEBUG):
        call("POST", "/v1/executions", {"function_id": function, "input": json.dumps({"x": secret}), "sync": False})
        webhook = call("POST", "/v1/webhooks", {"function_id": function}).json["id"]
        call("POST", f"/v1/webhooks/{webhook}/invoke", {"x": secret})
        response = call(
            "POST", "/v1/jobs", {"function_id": function, "pattern": "0 * * * *", "function_input": secret, "name": "j"}
        )
        assert response.status_int == 201, response.text
        call("PUT", f"/v1/jobs/{response.json['id']}", {"function_input": secret})
        assert call("DELETE", f"/v1/jobs/{response.json['id']}").status_int == 204
        upload = make_package(f"x = '{secret}'")
        assert secret.encode() in upload
        form = {"code": PACKAGE, "runtime_id": runtime, "package": upload, "name": "shown"}
        assert call("POST", "/v1/functions", form=form).status_int == 201
        assert call("PUT", f"/v1/functions/{function}", form={"package": upload}).status_int == 200
    assert secret not in caplog.text
    assert "Creating function, params" in caplog.text
    assert "shown" in caplog.text

# SPDX-License-Identifier: Apache-2.0
"""Aliases of two projects with the same name, through the whole API and the job handler."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from oslo_context.context import get_current

from .conftest import Recorder

DUE = datetime.datetime(2026, 1, 1, 12)
ORDERS = [("a", "b"), ("b", "a")]

Send = Callable[..., Any]


@pytest.fixture
def send(call: Callable[..., Any], conf: Any, option: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Send:
    """Send a request with a role in the given project, or without a token if the project is None."""
    from oslo_policy import policy
    from qinling import context
    from qinling.api import access_control
    from qinling.utils.openstack import keystone

    option("pecan", "auth_enable", True)
    rules = policy.Rules.from_dict({"default": "@"}, default_rule="default")
    monkeypatch.setattr(access_control, "_ENFORCER", policy.Enforcer(conf, rules=rules, use_conf=False))
    monkeypatch.setattr(
        keystone, "create_trust_context", lambda trust, project: context.Context(project_id=project, trust_id=trust)
    )

    def as_project(project: str | None, method: str, path: str, data: Any = None, role: str = "member") -> Any:
        if project is None:
            return call(method, path, data)
        headers = {"X_Identity_Status": "Confirmed", "X_Project_Id": project, "X_User_Id": f"user-{project}"}
        return call(method, path, data, **headers, X_Roles=role)

    return as_project


def act_as(project: str) -> None:
    from qinling import context

    context.set_ctx(context.Context(user_id=f"user-{project}", project_id=project, roles=["member"]))


@pytest.fixture
def functions(send: Send, db: Any) -> dict[str, str]:
    """Create a package function of each project, with a trust named after the project and one version."""
    result = {}
    for project in ("a", "b"):
        act_as(project)
        code = {"source": "package", "md5sum": "0" * 32}
        function = db.create_function({"code": code, "timeout": 5, "trust_id": f"trust-{project}"})
        db.increase_function_version(function.id, 0)
        result[project] = function.id
    return result


@pytest.fixture
def same_name(request: pytest.FixtureRequest, send: Send, functions: dict[str, str]) -> dict[str, str]:
    """Create the alias `prod` of each project's function, in the order of the parameter."""
    for project in request.param:
        response = send(project, "POST", "/v1/aliases", {"name": "prod", "function_id": functions[project]})
        assert response.status_int == 201, response.text
    return functions


def started(engine_client: Recorder) -> list[str]:
    """Return the functions that the engine was called for since the last call."""
    found = [args[1] for args, _unused in engine_client.named("create_execution")]
    engine_client.calls.clear()
    return found


both_orders = pytest.mark.parametrize("same_name", ORDERS, indirect=True)


@both_orders
def test_webhook_runs_its_own_projects_function(
    send: Send, same_name: dict[str, str], engine_client: Recorder, db: Any
) -> None:
    for project in ("a", "b"):
        webhook = send(project, "POST", "/v1/webhooks", {"function_alias": "prod"}).json["id"]
        response = send(None, "POST", f"/v1/webhooks/{webhook}/invoke", {"secret": project})
        assert response.status_int == 202, response.text
        assert started(engine_client) == [same_name[project]]
        assert get_current().project_id is None, "later log lines would name the owner"
        execution = send(project, "GET", f"/v1/executions/{response.json['execution_id']}").json
        assert (execution["project_id"], execution["function_id"]) == (project, same_name[project])


@both_orders
def test_job_runs_its_own_projects_function(send: Send, same_name: dict[str, str], db: Any) -> None:
    from qinling import context
    from qinling.db.sqlalchemy import models
    from qinling.services import periodics

    for project in ("a", "b"):
        body = {"function_alias": "prod", "pattern": "0 * * * *", "name": project}
        response = send(project, "POST", "/v1/jobs", body)
        assert response.status_int == 201, response.text
        due = {"next_execution_time": DUE}
        assert db.conditional_update(models.Job, due, {"id": response.json["id"]}, insecure=True)
    engine_client = Recorder()
    context.set_ctx(None)
    periodics.handle_job(engine_client)
    assert sorted(started(engine_client)) == sorted(same_name.values())
    for project in ("a", "b"):
        act_as(project)
        assert [row.function_id for row in db.get_executions()] == [same_name[project]]


@both_orders
@pytest.mark.parametrize("role", ["member", "admin"])
def test_an_execution(send: Send, same_name: dict[str, str], engine_client: Recorder, role: str) -> None:
    for project in ("a", "b"):
        body = {"function_alias": "prod", "sync": False}
        response = send(project, "POST", "/v1/executions", body, role=role)
        assert response.status_int == 201, response.text
        assert started(engine_client) == [same_name[project]]


@both_orders
def test_administrator_changes_and_deletes_the_alias_of_the_named_project(
    send: Send, same_name: dict[str, str]
) -> None:
    def described(project: str) -> str | None:
        response = send(project, "GET", "/v1/aliases/prod")
        return response.json["description"] if response.status_int == 200 else None

    def admin(method: str, query: str = "", **body: str) -> int:
        return int(send("ops", method, f"/v1/aliases/prod{query}", body or None, role="admin").status_int)

    # A project without such an alias finds none, even if others have one.
    assert (admin("GET"), admin("PUT", description="x"), admin("DELETE")) == (404, 404, 404)
    for project in ("a", "b"):
        assert admin("PUT", f"?project_id={project}", description=f"of {project}") == 200
    assert (described("a"), described("b")) == ("of a", "of b")
    assert admin("DELETE", "?project_id=a") == 204
    assert (described("a"), described("b")) == (None, "of b")


@both_orders
def test_members_cannot_name_another_project(send: Send, same_name: dict[str, str]) -> None:
    assert send("a", "GET", "/v1/aliases/prod?project_id=b").json["project_id"] == "a"
    assert send("a", "PUT", "/v1/aliases/prod?project_id=b", {"description": "x"}).json["project_id"] == "a"
    assert send("a", "DELETE", "/v1/aliases/prod?project_id=b").status_int == 204
    assert send("b", "GET", "/v1/aliases/prod").json["function_id"] == same_name["b"]


def test_an_alias_refers_to_functions_of_its_project(send: Send, functions: dict[str, str]) -> None:
    own, foreign = functions["b"], functions["a"]
    refused: list[dict[str, Any]] = [
        {"function_id": foreign},
        {"function_id": foreign, "function_version": 1},
        {"function_id": own, "function_version": 2},
        {"function_id": "00000000-0000-0000-0000-000000000000"},
    ]
    for role in ("member", "admin"):
        for body in refused:
            response = send("b", "POST", "/v1/aliases", {"name": "x", **body}, role=role)
            assert response.status_int == 404, response.text
    incomplete: list[dict[str, Any]] = [{}, {"name": "x"}, {"function_id": own}]
    for body in incomplete:
        assert send("b", "POST", "/v1/aliases", body).status_int == 400
    assert send("b", "POST", "/v1/aliases", {"name": "x", "function_id": own, "function_version": 1}).status_int == 201
    for role in ("member", "admin"):
        assert send("b", "PUT", "/v1/aliases/x", role=role).status_int == 200, "an empty change is accepted"
        for body in (*refused, {"function_version": 2}):
            response = send("b", "PUT", "/v1/aliases/x", body, role=role)
            assert response.status_int == 404, response.text
    alias = send("b", "GET", "/v1/aliases/x").json
    assert (alias["function_id"], alias["function_version"]) == (own, 1)
    assert send("b", "PUT", "/v1/aliases/x", {"function_version": 0}).json["function_version"] == 0


def test_stored_alias_of_another_projects_function_does_not_run(
    send: Send, functions: dict[str, str], engine_client: Recorder, db: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows stored by an earlier version do not run another project's function."""
    from qinling_kolla.patches.engine import job_handler

    act_as("b")
    db.create_function_alias(name="theirs", function_id=functions["a"], function_version=0)
    job = db.create_job({"status": "running", "next_execution_time": DUE, "count": 1, "function_alias": "theirs"})
    webhook = db.create_webhook({"function_alias": "theirs"})
    direct = db.create_webhook({"function_id": functions["a"], "function_version": 0})
    for identifier in (webhook.id, direct.id):
        assert send(None, "POST", f"/v1/webhooks/{identifier}/invoke", {}).status_int == 404
    for role in ("member", "admin"):
        for path, more in (("executions", {"sync": False}), ("jobs", {"pattern": "0 * * * *"})):
            response = send("b", "POST", f"/v1/{path}", {"function_alias": "theirs", **more}, role=role)
            assert response.status_int == 404, response.text
    job_handler.run_job(job, engine_client)
    assert f"Job {job.id} did not run" in caplog.text
    assert started(engine_client) == []


@pytest.mark.parametrize("foreign", [True, False])
def test_job_with_an_alias_stores_no_function(send: Send, functions: dict[str, str], foreign: bool) -> None:
    send("b", "POST", "/v1/aliases", {"name": "own", "function_id": functions["b"]})
    given = {"function_id": functions["a" if foreign else "b"], "function_version": 7}
    body = {"function_alias": "own", "first_execution_time": "2999-01-01T00:00:00", **given}
    response = send("b", "POST", "/v1/jobs", body)
    assert response.status_int == 201, response.text
    assert (response.json["function_id"], response.json["function_version"]) == (None, 0)
    assert send("a", "DELETE", f"/v1/functions/{functions['a']}").status_int == 204


@pytest.mark.parametrize("role", ["member", "admin"])
def test_a_job_of_another_projects_function_is_refused(send: Send, functions: dict[str, str], role: str) -> None:
    body = {"pattern": "0 * * * *"}
    for version in (0, 1):
        given = {"function_id": functions["a"], "function_version": version, **body}
        assert send("b", "POST", "/v1/jobs", given, role=role).status_int == 404
        assert send("a", "POST", "/v1/jobs", given, role=role).status_int == 201
    assert send("a", "POST", "/v1/jobs", {**given, "function_version": 2}, role=role).status_int == 404
    assert send("a", "POST", "/v1/jobs", body, role=role).status_int == 400


def test_a_stored_job_of_another_projects_function_does_not_run(
    functions: dict[str, str], db: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from qinling_kolla.patches.engine import job_handler

    act_as("b")
    values = {"status": "running", "next_execution_time": DUE, "pattern": "0 * * * *"}
    job = db.create_job({"function_id": functions["a"], "function_version": 0, **values})
    engine_client = Recorder()
    job_handler.run_job(job, engine_client)
    assert f"Job {job.id} did not run" in caplog.text
    assert started(engine_client) == []

# SPDX-License-Identifier: Apache-2.0
"""Tests of one alias name in two projects, where it refers to different functions."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests
from deployment import Deployment
from qinling_http import Qinling, wait_for

PROJECTS = ("e2e-a", "e2e-b")
ALIAS = "prod"


def keystone(admin: Qinling, method: str, path: str, **body: Any) -> Any:
    """Send a request to Keystone as the administrator and return the JSON of the response, or None."""
    answer = admin.session.request(method, f"{admin.identity}/{path}", json=body or None, timeout=30)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def tenants(qinling: Qinling, deployment: Deployment) -> Iterator[dict[str, Qinling]]:
    """Return a client of a member of each project, by the name of the project."""
    roles = {role["name"]: role["id"] for role in keystone(qinling, "GET", "roles")["roles"]}
    created: list[str] = []
    tenants = {}
    try:
        for name in PROJECTS:
            password = secrets.token_urlsafe(16)
            project = keystone(qinling, "POST", "projects", project={"name": name})["project"]["id"]
            created.append(f"projects/{project}")
            user = keystone(qinling, "POST", "users", user={"name": name, "password": password})["user"]["id"]
            created.append(f"users/{user}")
            keystone(qinling, "PUT", f"projects/{project}/users/{user}/roles/{roles['member']}")
            clouds = deployment.directory / "clouds.yaml"
            tenants[name] = Qinling(clouds, username=name, password=password, project_name=name)
        yield tenants
    finally:
        for path in reversed(created):
            keystone(qinling, "DELETE", path)


@pytest.fixture(scope="module")
def functions(tenants: dict[str, Qinling], runtime: str) -> Iterator[dict[str, str]]:
    """Return the ID of each project's function, which returns the name of the project, by that name."""
    created = {
        name: tenant.create_function(runtime, f"def main(**kwargs):\n    return {name!r}\n")["id"]
        for name, tenant in tenants.items()
    }
    yield created
    for name, tenant in tenants.items():
        for execution in tenant.call("GET", "executions", 200)["executions"]:
            tenant.call("DELETE", f"executions/{execution['id']}", 204)
        tenant.call("DELETE", f"functions/{created[name]}", 204)


@pytest.fixture(params=[PROJECTS, PROJECTS[::-1]], ids="-".join)
def users(
    request: pytest.FixtureRequest, tenants: dict[str, Qinling], functions: dict[str, str]
) -> Iterator[dict[str, Qinling]]:
    """Return the tenants with the alias in both projects; its order of creation could affect database queries."""
    for name in request.param:
        tenants[name].call("POST", "aliases", 201, json={"name": ALIAS, "function_id": functions[name]})
    yield tenants
    for tenant in tenants.values():
        for kind in ("jobs", "webhooks"):
            for row in tenant.call("GET", kind, 200)[kind]:
                tenant.call("DELETE", f"{kind}/{row['id']}", 204)
        tenant.call("DELETE", f"aliases/{ALIAS}", 204)


def outputs(tenant: Qinling, executions: set[str]) -> list[str] | None:
    """Return the outputs of a tenant's executions, or None while any of them is running."""
    rows = [row for row in tenant.call("GET", "executions", 200)["executions"] if row["id"] in executions]
    if len(rows) < len(executions) or any(row["status"] == "running" for row in rows):
        return None
    return [json.loads(row["result"])["output"] for row in rows]


def by_job(tenant: Qinling, job: str) -> set[str]:
    """Return the executions that a job has started."""
    rows = tenant.call("GET", "executions", 200)["executions"]
    return {row["id"] for row in rows if job in (row["description"] or "")}


def test_alias_resolves_to_function_of_project(users: dict[str, Qinling]) -> None:
    jobs = {
        # The sixth field is seconds: due immediately, and once.
        name: tenant.call("POST", "jobs", 201, json={"function_alias": ALIAS, "pattern": "* * * * * */1", "count": 1})[
            "id"
        ]
        for name, tenant in users.items()
    }
    for name, tenant in users.items():
        execution = tenant.call("POST", "executions", 201, json={"function_alias": ALIAS})["id"]
        webhook = tenant.call("POST", "webhooks", 201, json={"function_alias": ALIAS})["webhook_url"]
        # Webhooks need no token.
        answer = requests.post(webhook, json={}, timeout=30)
        assert answer.status_code == 202, answer.text
        started = {execution, answer.json()["execution_id"]}
        assert wait_for(f"executions of {name}", partial(outputs, tenant, started)) == [name, name]
    for name, tenant in users.items():
        started = wait_for(f"the job of {name}", partial(by_job, tenant, jobs[name]), 20)
        assert wait_for(f"the execution of {name}'s job", partial(outputs, tenant, started)) == [name]


def test_alias_is_invisible_to_other_project_of_administrator(qinling: Qinling, users: dict[str, Qinling]) -> None:
    qinling.call("POST", "executions", 404, json={"function_alias": ALIAS})
    qinling.call("DELETE", f"aliases/{ALIAS}", 404)
    for name, tenant in users.items():
        project = tenant.call("GET", f"aliases/{ALIAS}", 200)["project_id"]
        found = qinling.call("GET", f"aliases/{ALIAS}?project_id={project}", 200)
        assert found["project_id"] == project, name


def test_alias_rejects_functions_of_other_projects(users: dict[str, Qinling], functions: dict[str, str]) -> None:
    for name, other in (PROJECTS, PROJECTS[::-1]):
        users[name].call("POST", "aliases", 404, json={"name": "other", "function_id": functions[other]})
        users[name].call("PUT", f"aliases/{ALIAS}", 404, json={"function_id": functions[other]})

# SPDX-License-Identifier: Apache-2.0
"""Comparison and creation of a service's users and entries in Keystone."""

from __future__ import annotations

import json
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import openstack
import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    HttpError,
    Qinling,
    QinlingError,
    Response,
)
from ansible_collections.qinling.kolla.plugins.module_utils._resources.keystone_service import Entries, KeystoneService
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run, Sessions
from openstack.exceptions import SDKException
from openstack.identity.v3._proxy import Proxy
from openstack.identity.v3.endpoint import Endpoint
from openstack.identity.v3.project import Project
from openstack.identity.v3.role import Role
from openstack.identity.v3.service import Service
from openstack.identity.v3.user import User

USER = {"user": "qinling", "password": "the secret", "project": "service", "role": "service"}
URL = "http://10.0.0.1:7070"
ENDPOINTS = [{"interface": interface, "url": URL} for interface in ("internal", "public")]
SERVICE = {"name": "qinling", "type": "function-engine", "endpoints": ENDPOINTS}
DESIRED = {
    "kind": "keystone_service",
    "auth": {"auth_url": "http://keystone", "username": "admin", "password": "another secret"},
    "users": [USER],
    "user_domain_name": "Users",
    "project_domain_name": "Projects",
    "user_domain_id": "users",
    "project_domain_id": "projects",
    "services": [SERVICE],
    "region": "RegionOne",
    "ca_cert": "/ca.pem",
}
LOGIN = {
    "identity": {
        "methods": ["password"],
        "password": {"user": {"name": "qinling", "domain": {"name": "Users"}, "password": "the secret"}},
    },
    "scope": {"project": {"name": "service", "domain": {"name": "Projects"}}},
}


def token(**changed: Any) -> dict[str, Any]:
    endpoints = [{**endpoint, "region_id": "RegionOne"} for endpoint in ENDPOINTS]
    whole = {
        "roles": [{"name": "service"}],
        "catalog": [{"name": "qinling", "type": "function-engine", "endpoints": endpoints}],
    }
    return {**whole, **changed}


def service(answer: dict[str, Any] | Exception, check: bool = False) -> KeystoneService:
    """Return a service with real clients, to whose logins Keystone responds with a token or an error."""

    def send(method: str, url: str, _headers: dict[str, str], body: bytes | None, _timeout: float) -> Response:
        assert (method, url) == ("POST", "http://keystone/v3/auth/tokens")
        assert json.loads(body or b"") == {"auth": LOGIN}
        if isinstance(answer, HttpError):
            return Response(answer.status, {}, str(answer).encode())
        if isinstance(answer, Exception):
            raise answer
        return Response(201, {"x-subject-token": "an ID"}, json.dumps({"token": answer}).encode())

    client = partial(Qinling, transport=send)
    return KeystoneService(DESIRED, Run(check=check, sessions=Sessions(client)))  # type: ignore[arg-type]


def entry(**changed: Any) -> dict[str, Any]:
    whole = {"name": "qinling", "type": "function-engine", "endpoints": token()["catalog"][0]["endpoints"]}
    return {**whole, **changed}


BOTH = ["endpoint internal of function-engine", "endpoint public of function-engine"]


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (token(), []),
        (token(roles=[{"name": "member"}]), ["role service of user qinling in project service"]),
        (token(catalog=[]), BOTH),
        ({"roles": [{"name": "service"}]}, BOTH),
        (token(catalog=[entry(name="other")]), BOTH),
        (token(catalog=[entry(endpoints=[{"interface": "internal", "url": URL, "region_id": "RegionOne"}])]), BOTH[1:]),
        (token(catalog=[entry(endpoints=[{**e, "region_id": "Two"} for e in ENDPOINTS])]), BOTH),
        (
            token(catalog=[entry(endpoints=[{**e, "url": f"{URL}0", "region_id": "RegionOne"} for e in ENDPOINTS])]),
            BOTH,
        ),
    ],
)
def test_differences(answer: dict[str, Any], missing: list[str]) -> None:
    assert service(answer).differences() == missing


def applied(resource: KeystoneService) -> list[str]:
    resource.apply()
    return resource.done


def test_refused_login_is_a_difference() -> None:
    found = service(HttpError("no", 401)).differences()
    assert found == ["login of user qinling in project service", *BOTH]


@pytest.mark.parametrize(
    ("error", "words"),
    [(HttpError("teapot", 500), "teapot"), (ConnectionRefusedError(), "connection refused; check that Keystone runs")],
)
def test_other_errors_are_raised(error: Exception, words: str) -> None:
    with pytest.raises(QinlingError, match=words):
        service(error).differences()


def test_apply_without_differences_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack", None)
    assert applied(service(token())) == []


def test_administrator_creates_missing_entries(monkeypatch: pytest.MonkeyPatch, keystone: Keystone) -> None:
    monkeypatch.setenv("OS_USER_DOMAIN_NAME", "of another cloud")
    configurations = []

    def connect(**options: Any) -> SimpleNamespace:
        # A connection to Keystone begins with the first request.
        configurations.append(real_connect(**options).config)
        return SimpleNamespace(identity=keystone.identity)

    real_connect = openstack.connect
    monkeypatch.setattr(openstack, "connect", connect)
    assert "user qinling" in applied(service(HttpError("no", 401)))
    (found,) = configurations
    assert (found.config["auth"], found.get_interface("identity")) == (DESIRED["auth"], "internal")
    assert (found.get_region_name("identity"), found.get_requests_verify_args()) == ("RegionOne", ("/ca.pem", None))
    # The user still cannot log in, so that the password is set.
    assert applied(service(HttpError("no", 401))) == ["password of user qinling"]


def test_apply_reports_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack", None)
    with pytest.raises(QinlingError, match=r"Run the playbook qinling\.kolla\.bootstrap_servers to install it\."):
        service(HttpError("no", 401)).apply()


def test_apply_reports_the_cause_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = create_autospec(openstack.connect, side_effect=SDKException("no entry in the catalog"))
    monkeypatch.setattr(openstack, "connect", refused)
    with pytest.raises(QinlingError, match="Keystone at http://keystone: no entry in the catalog"):
        service(HttpError("no", 401)).apply()


WITH_DESCRIPTION = {
    "name": "qinling",
    "type": "function-engine",
    "description": "Function Service",
    "endpoints": [{"interface": name, "url": f"http://{name}"} for name in ("internal", "public")],
}
ALL = [
    "project service",
    "role service",
    "user qinling",
    "role service of user qinling in project service",
    "service function-engine",
    "endpoint internal of function-engine: http://internal",
    "endpoint public of function-engine: http://public",
]


KINDS = {"endpoint": Endpoint, "project": Project, "role": Role, "service": Service, "user": User}


class Keystone:
    """Keystone's entries behind a mock of openstacksdk's identity proxy, whose methods accept only real arguments."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Any] = {}
        self.granted: set[tuple[str, str, str]] = set()
        self.identity = create_autospec(Proxy, instance=True)
        for kind in KINDS:
            getattr(self.identity, f"find_{kind}").side_effect = partial(self.find, kind)
            getattr(self.identity, f"create_{kind}").side_effect = partial(self.create, kind)
            getattr(self.identity, f"update_{kind}").side_effect = update
        self.identity.endpoints.side_effect = self.endpoints
        self.identity.validate_user_has_project_role.side_effect = lambda *entry: ids(*entry) in self.granted
        self.identity.assign_project_role_to_user.side_effect = lambda **entry: self.granted.add(
            ids(entry["project"], entry["user"], entry["role"])
        )

    def find(self, kind: str, name: str, **query: str) -> Any:
        assert set(query) <= set(KINDS[kind]._query_mapping._mapping)
        found = self.entries.get((kind, name))
        return found if found and matches(found, query) else None

    def create(self, kind: str, **fields: Any) -> Any:
        name = fields.get("name") or f"{fields['service_id']}/{fields['interface']}"
        self.entries[kind, name] = update(KINDS[kind](id=f"id of {name}"), **fields)
        return self.entries[kind, name]

    def endpoints(self, **query: str) -> list[Any]:
        assert set(query) <= set(Endpoint._query_mapping._mapping)
        found = [entry for (kind, _name), entry in self.entries.items() if kind == "endpoint"]
        return [entry for entry in found if matches(entry, query)]


def matches(entry: Any, query: dict[str, str]) -> bool:
    return all(getattr(entry, name) == value for name, value in query.items())


def update(*entries: Any, **fields: Any) -> Any:
    """Set fields of an entry, which may also be a keyword argument named after its kind."""
    (entry,) = entries or [fields.pop(kind) for kind in KINDS if kind in fields]
    for name, value in fields.items():
        assert hasattr(type(entry), name), f"{type(entry).__name__} has no {name}"
        setattr(entry, name, value)
    return entry


def ids(project: Any, user: Any, role: Any) -> tuple[str, str, str]:
    return project.id, user.id, role.id


def register(
    keystone: Keystone,
    *,
    check: bool = False,
    locked_out: bool = False,
    service: dict[str, Any] | None = None,
    **user: Any,
) -> list[str]:
    entries = Entries(keystone.identity, ("users", "projects"), "RegionOne", check)
    entries.user({**USER, **user}, locked_out)
    entries.service(service or WITH_DESCRIPTION)
    return entries.done


@pytest.fixture
def keystone() -> Keystone:
    return Keystone()


def test_registration_is_idempotent(keystone: Keystone) -> None:
    assert register(keystone, check=True) == ALL
    assert keystone.entries == {}
    assert register(keystone) == ALL
    user = keystone.entries["user", "qinling"]
    assert (user.password, user.domain_id, user.default_project_id) == ("the secret", "users", "id of service")
    assert keystone.entries["project", "service"].domain_id == "projects"
    assert register(keystone, locked_out=False) == []


def test_password_is_set_for_a_locked_out_user(keystone: Keystone) -> None:
    register(keystone)
    assert register(keystone, password="another") == []
    assert register(keystone, password="another", locked_out=True) == ["password of user qinling"]
    assert keystone.entries["user", "qinling"].password == "another"


def test_differences_are_updated(keystone: Keystone) -> None:
    register(keystone)
    moved = [{"interface": "internal", "url": "http://internal"}, {"interface": "public", "url": "https://new"}]
    other = {**WITH_DESCRIPTION, "description": "Functions", "endpoints": moved}
    done = ["service function-engine", "endpoint public of function-engine: https://new"]
    assert register(keystone, service=other, check=True) == done
    assert register(keystone, service=other) == done
    assert register(keystone, service=other) == []
    assert register(keystone, service=other, role="admin") == [
        "role admin",
        "role admin of user qinling in project service",
    ]

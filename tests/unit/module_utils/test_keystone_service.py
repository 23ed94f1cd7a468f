# SPDX-License-Identifier: Apache-2.0
"""Comparison and creation of a service's users and entries in Keystone."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import HttpError, QinlingError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.keystone_service import Entries, KeystoneService
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run, Sessions

USER = {"user": "qinling", "password": "the secret", "project": "service", "role": "service"}
URL = "http://10.0.0.1:7070"
ENDPOINTS = [{"interface": interface, "url": URL} for interface in ("internal", "public")]
SERVICE = {"name": "qinling", "type": "function-engine", "endpoints": ENDPOINTS}
DESIRED = {
    "kind": "keystone_service",
    "auth": {"auth_url": "http://keystone", "username": "admin", "password": "another secret"},
    "users": [USER],
    "user_domain_name": "Default",
    "project_domain_name": "Default",
    "user_domain_id": "default",
    "project_domain_id": "default",
    "services": [SERVICE],
    "region": "RegionOne",
}


def token(**changed: Any) -> dict[str, Any]:
    endpoints = [{**endpoint, "region_id": "RegionOne"} for endpoint in ENDPOINTS]
    whole = {
        "roles": [{"name": "service"}],
        "catalog": [{"name": "qinling", "type": "function-engine", "endpoints": endpoints}],
    }
    return {**whole, **changed}


def service(answer: dict[str, Any] | Exception, check: bool = False) -> KeystoneService:
    """Return a service whose logins return a token or raise an error."""

    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            assert (params["auth"]["password"], params["auth"]["project_name"]) == ("the secret", "service")
            self.token: dict[str, Any] = {}

        def log_in(self) -> None:
            if isinstance(answer, Exception):
                raise answer
            self.token = answer

    return KeystoneService(DESIRED, Run(check=check, sessions=Sessions(Client)))  # type: ignore[arg-type]


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


@pytest.mark.parametrize("error", [HttpError("teapot", 500), QinlingError("no answer")])
def test_other_errors_are_raised(error: QinlingError) -> None:
    with pytest.raises(type(error)):
        service(error).differences()


def test_apply_without_differences_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack", None)
    assert applied(service(token())) == []


def test_administrator_creates_missing_entries(monkeypatch: pytest.MonkeyPatch, identity: Identity) -> None:
    connected: dict[str, Any] = {}

    def connect(**options: Any) -> SimpleNamespace:
        connected.update(options)
        return SimpleNamespace(identity=identity)

    monkeypatch.setitem(sys.modules, "openstack", SimpleNamespace(connect=connect))
    assert "user qinling" in applied(service(HttpError("no", 401)))
    assert (connected["auth"], connected["load_envvars"]) == (DESIRED["auth"], False)
    # The user still cannot log in, so that the password is set.
    assert applied(service(HttpError("no", 401))) == ["password of user qinling"]


@pytest.mark.parametrize(
    ("library", "words"),
    [
        (None, "Run the playbook qinling.kolla.bootstrap_servers to install it."),
        (SimpleNamespace(connect=lambda **_options: 1 / 0), "Keystone at http://keystone: division by zero"),
    ],
)
def test_apply_reports_the_cause_of_a_failure(monkeypatch: pytest.MonkeyPatch, library: Any, words: str) -> None:
    monkeypatch.setitem(sys.modules, "openstack", library)
    with pytest.raises(QinlingError, match=words):
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


class Identity:
    """Replaces openstacksdk's identity proxy."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], SimpleNamespace] = {}
        self.granted: set[tuple[str, str, str]] = set()

    def __getattr__(self, name: str) -> Any:
        verb, _unused, kind = name.partition("_")
        return {
            "find": lambda named, **_fields: self.entries.get((kind, named)),
            "create": lambda **fields: self.create(kind, fields),
            "update": lambda **fields: vars(fields.pop(kind)).update(fields),
        }[verb]

    def create(self, kind: str, fields: dict[str, Any]) -> SimpleNamespace:
        name = fields.get("name") or f"{fields['service_id']}/{fields['interface']}"
        self.entries[kind, name] = SimpleNamespace(id=f"id of {name}", **fields)
        return self.entries[kind, name]

    def endpoints(self, service_id: str, region_id: str) -> list[SimpleNamespace]:
        found = [entry for (kind, _name), entry in self.entries.items() if kind == "endpoint"]
        return [entry for entry in found if (entry.service_id, entry.region_id) == (service_id, region_id)]

    def validate_user_has_project_role(self, project: Any, user: Any, role: Any) -> bool:
        return (project.id, user.id, role.id) in self.granted

    def assign_project_role_to_user(self, project: Any, user: Any, role: Any) -> None:
        self.granted.add((project.id, user.id, role.id))


def register(
    identity: Identity,
    *,
    check: bool = False,
    locked_out: bool = False,
    service: dict[str, Any] | None = None,
    **user: Any,
) -> list[str]:
    entries = Entries(identity, ("default", "default"), "RegionOne", check)
    entries.user({**USER, **user}, locked_out)
    entries.service(service or WITH_DESCRIPTION)
    return entries.done


@pytest.fixture
def identity() -> Identity:
    return Identity()


def test_registration_is_idempotent(identity: Identity) -> None:
    assert register(identity, check=True) == ALL
    assert identity.entries == {}
    assert register(identity) == ALL
    user = identity.entries["user", "qinling"]
    assert (user.password, user.default_project_id) == ("the secret", "id of service")
    assert register(identity, locked_out=False) == []


def test_password_is_set_for_a_locked_out_user(identity: Identity) -> None:
    register(identity)
    assert register(identity, password="another") == []
    assert register(identity, password="another", locked_out=True) == ["password of user qinling"]
    assert identity.entries["user", "qinling"].password == "another"


def test_differences_are_updated(identity: Identity) -> None:
    register(identity)
    moved = [{"interface": "internal", "url": "http://internal"}, {"interface": "public", "url": "https://new"}]
    other = {**WITH_DESCRIPTION, "description": "Functions", "endpoints": moved}
    done = ["service function-engine", "endpoint public of function-engine: https://new"]
    assert register(identity, service=other, check=True) == done
    assert register(identity, service=other) == done
    assert register(identity, service=other) == []
    assert register(identity, service=other, role="admin") == [
        "role admin",
        "role admin of user qinling in project service",
    ]

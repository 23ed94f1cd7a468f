# SPDX-License-Identifier: Apache-2.0
"""What is registered in a Keystone that has none, some, or all of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.keystone_entries import Entries

USER = {"user": "qinling", "password": "the secret", "project": "service", "role": "service"}
SERVICE = {
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
    """Stands for openstacksdk's identity proxy."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, str], SimpleNamespace] = {}
        self.granted: set[tuple[str, str, str]] = set()

    def __getattr__(self, name: str) -> Any:
        verb, _, kind = name.partition("_")
        return {
            "find": lambda named, **_fields: self.there.get((kind, named)),
            "create": lambda **fields: self.create(kind, fields),
            "update": lambda **fields: vars(fields.pop(kind)).update(fields),
        }[verb]

    def create(self, kind: str, fields: dict[str, Any]) -> SimpleNamespace:
        name = fields.get("name") or f"{fields['service_id']}/{fields['interface']}"
        self.there[kind, name] = SimpleNamespace(id=f"id of {name}", **fields)
        return self.there[kind, name]

    def endpoints(self, service_id: str, region_id: str) -> list[SimpleNamespace]:
        found = [entry for (kind, _name), entry in self.there.items() if kind == "endpoint"]
        return [entry for entry in found if (entry.service_id, entry.region_id) == (service_id, region_id)]

    def validate_user_has_project_role(self, project: Any, user: Any, role: Any) -> bool:
        return (project.id, user.id, role.id) in self.granted

    def assign_project_role_to_user(self, project: Any, user: Any, role: Any) -> None:
        self.granted.add((project.id, user.id, role.id))


def register(
    identity: Identity, *, check: bool = False, locked_out: bool = False, service: dict[str, Any] = SERVICE, **user: Any
) -> list[str]:
    entries = Entries(identity, ("default", "default"), "RegionOne", check)
    entries.user({**USER, **user}, locked_out)
    entries.service(service)
    return entries.done


@pytest.fixture
def identity() -> Identity:
    return Identity()


def test_everything_once(identity: Identity) -> None:
    assert register(identity, check=True) == ALL
    assert identity.there == {}
    assert register(identity) == ALL
    user = identity.there["user", "qinling"]
    assert (user.password, user.default_project_id) == ("the secret", "id of service")
    assert register(identity, locked_out=False) == []


def test_a_user_who_is_locked_out_gets_the_password(identity: Identity) -> None:
    register(identity)
    assert register(identity, password="another") == []
    assert register(identity, password="another", locked_out=True) == ["password of user qinling"]
    assert identity.there["user", "qinling"].password == "another"


def test_what_is_otherwise_is_changed(identity: Identity) -> None:
    register(identity)
    moved = [{"interface": "internal", "url": "http://internal"}, {"interface": "public", "url": "https://new"}]
    other = {**SERVICE, "description": "Functions", "endpoints": moved}
    done = ["service function-engine", "endpoint public of function-engine: https://new"]
    assert register(identity, service=other, check=True) == done
    assert register(identity, service=other) == done
    assert register(identity, service=other) == []
    assert register(identity, service=other, role="admin") == [
        "role admin",
        "role admin of user qinling in project service",
    ]

# SPDX-License-Identifier: Apache-2.0
"""What one log-in tells of a service's entries in Keystone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import keystone_service
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import HttpError, QinlingError

USER = {"user": "qinling", "password": "the secret", "project": "service", "role": "service"}
URL = "http://10.0.0.1:7070"
ENDPOINTS = [{"interface": interface, "url": URL} for interface in ("internal", "public")]
SERVICE = {"name": "qinling", "type": "function-engine", "endpoints": ENDPOINTS}
PARAMS = {
    "auth_url": "http://keystone",
    "users": [USER],
    "user_domain_name": "Default",
    "project_domain_name": "Default",
    "services": [SERVICE],
    "region": "RegionOne",
    "ca_cert": None,
    "wait": 0,
}


def token(**changed: Any) -> dict[str, Any]:
    endpoints = [{**endpoint, "region_id": "RegionOne"} for endpoint in ENDPOINTS]
    whole = {
        "roles": [{"name": "service"}],
        "catalog": [{"name": "qinling", "type": "function-engine", "endpoints": endpoints}],
    }
    return {**whole, **changed}


def client(answer: dict[str, Any] | Exception) -> Any:
    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            assert params["auth"]["password"] == "the secret"
            assert params["auth"]["project_name"] == "service"
            self.token: dict[str, Any] = {}

        def log_in(self) -> None:
            if isinstance(answer, Exception):
                raise answer
            self.token = answer

    return Client


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
def test_missing(answer: dict[str, Any], missing: list[str]) -> None:
    found = keystone_service.look(PARAMS, client(answer))
    assert (found["missing"], found["locked_out"]) == (missing, [])
    assert found["client"].token == answer


def test_login_refused() -> None:
    found = keystone_service.look(PARAMS, client(HttpError("no", 401)))
    assert found["locked_out"] == ["qinling"]
    assert found["client"] is None
    assert found["missing"] == ["login of user qinling in project service", *BOTH]


@pytest.mark.parametrize("error", [HttpError("teapot", 500), QinlingError("no answer")])
def test_no_clear_answer(error: QinlingError) -> None:
    with pytest.raises(type(error)):
        keystone_service.look(PARAMS, client(error))

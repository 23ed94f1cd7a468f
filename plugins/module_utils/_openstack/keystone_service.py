# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What of a service is not in Keystone yet, told by logging in as the service's own users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import HttpError, Qinling
from ansible_collections.qinling.kolla.plugins.module_utils._plan import check_results


def missing_of_user(token: Mapping[str, Any], user: Mapping[str, Any]) -> list[str]:
    """Takes the data of a user's token and what is wanted of the user, returns what is not so."""
    roles = {role["name"] for role in token.get("roles", [])}
    if user["role"] in roles:
        return []
    return [f"role {user['role']} of user {user['user']} in project {user['project']}"]


def missing_of_services(token: Mapping[str, Any], services: list[dict[str, Any]], region: str) -> list[str]:
    """Takes the data of a token, the wanted services and their region, returns what the token's catalog has not."""
    missing = []
    for service in services:
        catalog = [entry for entry in token.get("catalog", []) if entry.get("name") == service["name"]]
        missing += [
            f"endpoint {endpoint['interface']} of {service['type']}"
            for endpoint in service["endpoints"]
            if check_results.catalog_problem(catalog, service["type"], region, endpoint["interface"], endpoint["url"])
        ]
    return missing


def auth_of(params: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    """Takes the parameters of the module keystone_service with `auth_url` and a user, returns how this one logs in."""
    return {
        "auth_url": params["auth_url"],
        "username": user["user"],
        "password": user["password"],
        "project_name": user["project"],
        "user_domain_name": params["user_domain_name"],
        "project_domain_name": params["project_domain_name"],
    }


def look(params: Mapping[str, Any], api: type[Qinling] = Qinling) -> dict[str, Any]:
    """Takes the parameters of the module keystone_service with `auth_url`; returns what is `missing`, which users are
    `locked_out`, and the `client` of one who is not. Raises QinlingError where Keystone gives no clear answer.
    """
    missing: list[str] = []
    locked_out: list[str] = []
    logged_in: Qinling | None = None
    for user in params["users"]:
        client = api({**params, "endpoint": "", "auth": auth_of(params, user)})
        try:
            client.log_in()
        except HttpError as error:
            if error.status not in (401, 403, 404):
                raise
            locked_out.append(user["user"])
            missing.append(f"login of user {user['user']} in project {user['project']}")
        else:
            logged_in = client
            missing += missing_of_user(client.token, user)
    # Without any login there is no catalog, and everything counts as missing.
    token = logged_in.token if logged_in else {}
    missing += missing_of_services(token, params["services"], params["region"])
    return {"missing": missing, "locked_out": locked_out, "client": logged_in}

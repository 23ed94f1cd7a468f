# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Users of a service, and its entries in the catalog of Keystone.

One login as the service's own user shows whether user, password, project, role and catalog are in the desired state.
With one module of openstack.cloud per object, loading the library and logging in would take nearly all of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    HttpError,
    QinlingError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._plan import check_results
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource, library


class KeystoneService(Resource):
    """A service in Keystone.

    Keys: `auth` of an administrator (in the format of openstacksdk) and optional `ca_cert`; `region`; `users`, each
    with `user`, `password`, `project` and `role`; `services`, each with `name`, `type`, `description` and `endpoints`
    (``{interface, url}``); the domains of users and projects by name (`user_domain_name`, `project_domain_name`) and
    ID (`user_domain_id`, `project_domain_id`).
    """

    def differences(self) -> list[str]:
        """Log in as each user, and return missing logins, roles and endpoints."""
        return self._compare()[0]

    def apply(self) -> None:
        """Create missing entries as the administrator; set the password of a user who cannot log in."""
        missing, locked_out = self._compare()
        if not missing:
            return
        openstack = library("openstack", "openstacksdk")
        try:
            # Ignore clouds.yaml and environment variables.
            cloud = openstack.connect(
                auth=self.desired["auth"],
                region_name=self.desired["region"],
                cacert=self.desired.get("ca_cert") or None,
                identity_interface="internal",
                load_yaml_config=False,
                load_envvars=False,
            )
            domains = (self.desired["user_domain_id"], self.desired["project_domain_id"])
            entries = Entries(cloud.identity, domains, self.desired["region"], self.run.check)
            self.done = entries.done
            for user in self.desired["users"]:
                entries.user(user, user["user"] in locked_out)
            for service in self.desired["services"]:
                entries.service(service)
        except Exception as error:  # exceptions of openstacksdk and keystoneauth have no common base
            raise QinlingError(f"Keystone at {self.desired['auth']['auth_url']}: {error}") from error

    def _compare(self) -> tuple[list[str], list[str]]:
        """Return the differences, and the users who cannot log in. Raise QinlingError if Keystone fails."""
        missing, locked_out = list[str](), list[str]()
        token: Mapping[str, Any] = {}
        for user in self.desired["users"]:
            auth = auth_of(self.desired, user)
            try:
                token = self.run.sessions.logged_in(auth, self.desired.get("ca_cert"), self.run.wait).token
            except HttpError as error:
                if error.status not in (401, 403, 404):
                    raise
                locked_out.append(user["user"])
                missing.append(f"login of user {user['user']} in project {user['project']}")
            else:
                missing += missing_of_user(token, user)
        # Without any login, the catalog is unknown, and all endpoints count as missing.
        return missing + missing_of_services(token, self.desired["services"], self.desired["region"]), locked_out


def auth_of(desired: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `auth` of a user of a Keystone service."""
    return {
        "auth_url": desired["auth"]["auth_url"],
        "username": user["user"],
        "password": user["password"],
        "project_name": user["project"],
        "user_domain_name": desired["user_domain_name"],
        "project_domain_name": desired["project_domain_name"],
    }


def missing_of_user(token: Mapping[str, Any], user: Mapping[str, Any]) -> list[str]:
    """Return the user's role if it is missing in the data of its token."""
    roles = {role["name"] for role in token.get("roles", [])}
    if user["role"] in roles:
        return []
    return [f"role {user['role']} of user {user['user']} in project {user['project']}"]


def missing_of_services(token: Mapping[str, Any], services: list[dict[str, Any]], region: str) -> list[str]:
    """Return the endpoints that are missing in a token's catalog, or have another URL."""
    missing = []
    for service in services:
        catalog = [entry for entry in token.get("catalog", []) if entry.get("name") == service["name"]]
        missing += [
            f"endpoint {endpoint['interface']} of {service['type']}"
            for endpoint in service["endpoints"]
            if check_results.catalog_problem(catalog, service["type"], region, endpoint["interface"], endpoint["url"])
        ]
    return missing


class Entries:
    """Entries of Keystone that are created or updated; `done` lists the changes, in check mode the expected ones."""

    def __init__(self, identity: Any, domains: tuple[str, str], region: str, check: bool) -> None:
        """Store openstacksdk's identity proxy, the domain IDs of users and projects, the region and check mode."""
        self.identity = identity
        self.user_domain, self.project_domain = domains
        self.region = region
        self.check = check
        self.done: list[str] = []

    def _apply(self, change: str, function: Any, **fields: Any) -> Any:
        """Call an API function and record the change; return the result, None in check mode."""
        self.done.append(change)
        return None if self.check else function(**fields)

    def user(self, desired: Mapping[str, Any], locked_out: bool) -> None:
        """Create a user (`user`, `password`, `project`, `role`) with its role; set the password if `locked_out`."""
        name, keystone = desired["user"], self.identity
        project = keystone.find_project(desired["project"], domain_id=self.project_domain) or self._apply(
            f"project {desired['project']}",
            keystone.create_project,
            name=desired["project"],
            domain_id=self.project_domain,
        )
        role = keystone.find_role(desired["role"]) or self._apply(
            f"role {desired['role']}", keystone.create_role, name=desired["role"]
        )
        user = keystone.find_user(name, domain_id=self.user_domain)
        fields = {"password": desired["password"], "default_project_id": project.id if project else None}
        if user is None:
            user = self._apply(
                f"user {name}", keystone.create_user, name=name, domain_id=self.user_domain, is_enabled=True, **fields
            )
        elif locked_out:
            self._apply(f"password of user {name}", keystone.update_user, user=user, is_enabled=True, **fields)
        exist = project and role and user
        if not exist or not keystone.validate_user_has_project_role(project, user, role):
            self._apply(
                f"role {desired['role']} of user {name} in project {desired['project']}",
                keystone.assign_project_role_to_user,
                project=project,
                user=user,
                role=role,
            )

    def service(self, desired: Mapping[str, Any]) -> None:
        """Create or update a service (`name`, `type`, `description`, `endpoints`) and its endpoints."""
        keystone, fields = self.identity, {"type": desired["type"], "description": desired.get("description") or ""}
        service = keystone.find_service(desired["name"])
        if service is None:
            service = self._apply(
                f"service {desired['type']}", keystone.create_service, name=desired["name"], is_enabled=True, **fields
            )
        elif {name: getattr(service, name) or "" for name in fields} != fields:
            self._apply(f"service {desired['type']}", keystone.update_service, service=service, **fields)
        existing = list(keystone.endpoints(service_id=service.id, region_id=self.region)) if service else []
        for endpoint in desired["endpoints"]:
            interface, url = endpoint["interface"], endpoint["url"]
            found = [present for present in existing if present.interface == interface]
            change = f"endpoint {interface} of {desired['type']}: {url}"
            if not found:
                self._apply(
                    change,
                    keystone.create_endpoint,
                    service_id=service.id if service else None,
                    interface=interface,
                    url=url,
                    region_id=self.region,
                    is_enabled=True,
                )
            elif found[0].url != url:
                self._apply(change, keystone.update_endpoint, endpoint=found[0], url=url)

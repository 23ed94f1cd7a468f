# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A service's users, and its entries in the catalog of Keystone.

One login as the service's own user shows at once whether user, password, project, role and catalog are as desired.
With a module of openstack.cloud for each user, project, role, service and endpoint, loading the library and logging in
would be nearly all of the time.
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

    Keys: `auth` of an administrator (as openstacksdk takes it) and maybe `ca_cert`; `region`; `users`, each with
    `user`, `password`, `project` and `role`; `services`, each with `name`, `type`, `description` and `endpoints`, of
    which each has `interface` and `url`; the domains of users and projects by name (`user_domain_name`,
    `project_domain_name`) and ID (`user_domain_id`, `project_domain_id`).
    """

    def differences(self) -> list[str]:
        """Log in as each of the users."""
        return self._compare()[0]

    def apply(self) -> None:
        """Create what is missing, as the administrator; set the password of a user who cannot log in."""
        missing, locked_out = self._compare()
        if not missing:
            return
        openstack = library("openstack", "openstacksdk")
        try:
            # Nothing but what is given here: no clouds.yaml and no variables of the environment.
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
        except Exception as error:  # openstacksdk's and keystoneauth's have no common base
            raise QinlingError(f"Keystone at {self.desired['auth']['auth_url']}: {error}") from error

    def _compare(self) -> tuple[list[str], list[str]]:
        """Return what differs, and which users cannot log in.

        Raise QinlingError where Keystone gives no clear answer.
        """
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
        # Without any login there is no catalog, and everything counts as missing.
        return missing + missing_of_services(token, self.desired["services"], self.desired["region"]), locked_out


def auth_of(desired: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    """Return how one of the users of a Keystone service logs in."""
    return {
        "auth_url": desired["auth"]["auth_url"],
        "username": user["user"],
        "password": user["password"],
        "project_name": user["project"],
        "user_domain_name": desired["user_domain_name"],
        "project_domain_name": desired["project_domain_name"],
    }


def missing_of_user(token: Mapping[str, Any], user: Mapping[str, Any]) -> list[str]:
    """Return which role of a user is missing, of the data of its token."""
    roles = {role["name"] for role in token.get("roles", [])}
    if user["role"] in roles:
        return []
    return [f"role {user['role']} of user {user['user']} in project {user['project']}"]


def missing_of_services(token: Mapping[str, Any], services: list[dict[str, Any]], region: str) -> list[str]:
    """Return which endpoints of services the catalog in a token lacks, or has with another URL."""
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
    """Creates and updates entries of Keystone; `done` lists what was changed, or in check mode would be."""

    def __init__(self, identity: Any, domains: tuple[str, str], region: str, check: bool) -> None:
        """Take openstacksdk's identity proxy, the domain IDs of users and of projects, a region, and check mode."""
        self.identity = identity
        self.user_domain, self.project_domain = domains
        self.region = region
        self.check = check
        self.done: list[str] = []

    def _made(self, what: str, make: Any, **fields: Any) -> Any:
        """Call `make` with its fields and note `what` was done; return the result, None in check mode."""
        self.done.append(what)
        return None if self.check else make(**fields)

    def user(self, wanted: Mapping[str, Any], locked_out: bool) -> None:
        """Create a user (`user`, `password`, `project`, `role`) with its role; set a password that does not work."""
        name, keystone = wanted["user"], self.identity
        project = keystone.find_project(wanted["project"], domain_id=self.project_domain) or self._made(
            f"project {wanted['project']}",
            keystone.create_project,
            name=wanted["project"],
            domain_id=self.project_domain,
        )
        role = keystone.find_role(wanted["role"]) or self._made(
            f"role {wanted['role']}", keystone.create_role, name=wanted["role"]
        )
        user = keystone.find_user(name, domain_id=self.user_domain)
        fields = {"password": wanted["password"], "default_project_id": project.id if project else None}
        if user is None:
            user = self._made(
                f"user {name}", keystone.create_user, name=name, domain_id=self.user_domain, is_enabled=True, **fields
            )
        elif locked_out:
            self._made(f"password of user {name}", keystone.update_user, user=user, is_enabled=True, **fields)
        there = project and role and user
        if not there or not keystone.validate_user_has_project_role(project, user, role):
            self._made(
                f"role {wanted['role']} of user {name} in project {wanted['project']}",
                keystone.assign_project_role_to_user,
                project=project,
                user=user,
                role=role,
            )

    def service(self, wanted: Mapping[str, Any]) -> None:
        """Create or update a service (`name`, `type`, `description`, `endpoints`) and its endpoints in the catalog."""
        keystone, fields = self.identity, {"type": wanted["type"], "description": wanted.get("description") or ""}
        service = keystone.find_service(wanted["name"])
        if service is None:
            service = self._made(
                f"service {wanted['type']}", keystone.create_service, name=wanted["name"], is_enabled=True, **fields
            )
        elif {name: getattr(service, name) or "" for name in fields} != fields:
            self._made(f"service {wanted['type']}", keystone.update_service, service=service, **fields)
        there = list(keystone.endpoints(service_id=service.id, region_id=self.region)) if service else []
        for endpoint in wanted["endpoints"]:
            interface, url = endpoint["interface"], endpoint["url"]
            found = [present for present in there if present.interface == interface]
            what = f"endpoint {interface} of {wanted['type']}: {url}"
            if not found:
                self._made(
                    what,
                    keystone.create_endpoint,
                    service_id=service.id if service else None,
                    interface=interface,
                    url=url,
                    region_id=self.region,
                    is_enabled=True,
                )
            elif found[0].url != url:
                self._made(what, keystone.update_endpoint, endpoint=found[0], url=url)

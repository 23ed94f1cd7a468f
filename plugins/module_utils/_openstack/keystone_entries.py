# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A service's entries in Keystone, over one connection of openstacksdk: users, roles, services, endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Entries:
    """Keystone's entries as they are wanted; `done` tells what was, or in check mode would be, changed."""

    def __init__(self, identity: Any, domains: tuple[str, str], region: str, check: bool) -> None:
        """Takes openstacksdk's identity proxy, the ids of the users' and the projects' domain, and a region."""
        self.identity = identity
        self.user_domain, self.project_domain = domains
        self.region = region
        self.check = check
        self.done: list[str] = []

    def _made(self, what: str, make: Any, **fields: Any) -> Any:
        """Takes what is made in words, what makes it and with which fields; returns it, nothing in check mode."""
        self.done.append(what)
        return None if self.check else make(**fields)

    def user(self, wanted: Mapping[str, Any], locked_out: bool) -> None:
        """Takes a user (`user`, `password`, `project`, `role`); its password is set where it is new or locked out."""
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
        """Takes a service (`name`, `type`, `description`, `endpoints`), puts it and its endpoints into the catalog."""
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

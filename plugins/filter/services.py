# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over Kolla's service dictionaries (`<project>_services`) and over projects (`qinling_projects`)."""

from __future__ import annotations

from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._projects import projects, services


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "services_of_host": services.services_of_host,
            "health_checks_of": services.health_checks_of,
            "containers_of": services.containers_of,
            "rollback_facts": services.rollback_facts,
            "rollback_text": services.rollback_text,
            "first_host": services.first_host,
            "hosts_of": projects.hosts_of,
            "passwords_to_generate": projects.passwords_to_generate,
            "projects_of_host": projects.projects_of_host,
            "projects_of_tags": projects.projects_of_tags,
            "tag_findings": projects.tag_findings,
        }

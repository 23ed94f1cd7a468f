# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over Kubernetes manifests."""

from __future__ import annotations

from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.rbac import Manifest


def rbac_objects(text: str, namespace: str, user: str) -> list[dict[str, Any]]:
    """Return the objects of a manifest of roles and role bindings for a namespace and a user."""
    return Manifest.load(text, namespace).for_user(user)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"rbac_objects": rbac_objects}

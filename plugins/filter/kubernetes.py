# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Filters over Kubernetes manifests."""

from __future__ import annotations

from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.rbac import Manifest


def rbac_objects(text: str, namespace: str, user: str) -> list[dict[str, Any]]:
    """Takes a manifest with roles and their bindings, returns its objects for this namespace and user."""
    return Manifest.load(text, namespace).for_user(user)


class FilterModule:
    """Ansible's entry to the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Returns the filters by name."""
        return {"rbac_objects": rbac_objects}

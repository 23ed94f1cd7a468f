# SPDX-License-Identifier: Apache-2.0
"""What the action plugin survey asks the host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.action.survey import ActionModule, Project


def project(name: str, volumes: list[str], extra: list[str], kept: list[str]) -> Project:
    """Return a project with one service, which mounts some volumes, the last of them as the operator's."""
    service = {"container_name": name, "volumes": volumes + extra, "extra_volumes": extra, "group": "all"}
    values: dict[str, Any] = {
        "service_containers": {name: {**service, "enabled": True}},
        "service_always": [],
        "service_one_off_containers": [],
        "__service_volumes_kept": kept,
        "qinling_destroy_keep_data": bool(kept),
    }
    return Project(name, values.__getitem__, ["all"], {"remains"})


@pytest.mark.parametrize(
    ("kept", "volumes", "extra"),
    [
        ([], ["customer_data", "etcd", "logs"], ["customer_data"]),
        (["customer_data", "etcd"], ["logs"], []),
    ],
)
def test_extra_volumes_are_those_that_no_service_mounts_by_itself(
    kept: list[str], volumes: list[str], extra: list[str]
) -> None:
    projects = [
        project("etcd", ["/etc/localtime:/etc/localtime:ro", "etcd:/e", "logs:/l"], ["customer_data:/data"], kept),
        # The other project's own.
        project("memcached", [], ["logs:/x", ""], []),
    ]
    plugin = ActionModule.__new__(ActionModule)
    remains = plugin._request(projects, {"look": ["remains"], "root": "/etc/kolla"}, early=False)["remains"]
    assert (remains["etcd"]["volumes"], remains["etcd"]["extra_volumes"]) == (volumes, extra)
    assert (remains["memcached"]["volumes"], remains["memcached"]["extra_volumes"]) == (["logs"], [])

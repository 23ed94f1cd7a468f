# SPDX-License-Identifier: Apache-2.0
"""Actions on containers by their present state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker import containers
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import LABEL
from ansible_collections.qinling.kolla.plugins.module_utils._docker.containers import Spec, action_of
from ansible_collections.qinling.kolla.plugins.module_utils._docker.service_backup import Host

SPEC = Spec("etcd", "p_etcd", {"Image": "kolla/etcd:1", "Labels": {LABEL: "abc"}})
SAME: dict[str, Any] = {"Names": ["/p_etcd"], "Image": "kolla/etcd:1", "Labels": {LABEL: "abc"}, "State": "running"}


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (None, "create"),
        (SAME, ""),
        ({**SAME, "State": "restarting"}, ""),
        ({**SAME, "State": "exited"}, "start"),
        ({**SAME, "State": "created"}, "start"),
        ({**SAME, "State": "paused"}, "unpause"),
        ({**SAME, "State": "dead"}, "replace"),
        ({**SAME, "Labels": {LABEL: "abd"}}, "replace"),
        ({**SAME, "Labels": None}, "replace"),
        # The name of the image now refers to another image.
        ({**SAME, "Image": "sha256:0123"}, "replace"),
    ],
)
def test_action_of_a_container(present: dict[str, Any] | None, expected: str) -> None:
    assert action_of(SPEC, present) == expected


class Docker:
    """A fake Docker that lists one container and records requests for changes."""

    def __init__(self, present: dict[str, Any]) -> None:
        self.present = present
        self.requests: list[str] = []

    def listing(self) -> list[dict[str, Any]]:
        return [self.present]

    def change(self, method: str, url: str, _seconds: int, **_more: Any) -> None:
        self.requests.append(f"{method} {url}")


@pytest.mark.parametrize("backup", [False, True])
def test_replaced_container_is_stopped_with_timeout(backup: bool, tmp_path: Path) -> None:
    docker = Docker({**SAME, "Labels": {LABEL: "abd"}, "Status": "Up"})
    containers.run([SPEC], Host(docker, tmp_path, 7), backup=backup, check=False)  # type: ignore[arg-type]
    assert docker.requests[0] == "POST /containers/p_etcd/stop?t=7"
    assert docker.requests[-1] == "POST /containers/p_etcd/start"

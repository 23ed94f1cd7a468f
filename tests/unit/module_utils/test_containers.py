# SPDX-License-Identifier: Apache-2.0
"""What is done with a container, by what Docker lists of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import LABEL
from ansible_collections.qinling.kolla.plugins.module_utils._docker.containers import Spec, action_of

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
        # Its name means another image by now.
        ({**SAME, "Image": "sha256:0123"}, "replace"),
    ],
)
def test_what_is_done_with_a_container(present: dict[str, Any] | None, expected: str) -> None:
    assert action_of(SPEC, present) == expected

# SPDX-License-Identifier: Apache-2.0
"""A deployment that is made here, while it is watched."""

from __future__ import annotations

import pytest
from deployment import Deployment
from watch import PLAYS, Watch


@pytest.fixture(scope="session")
def watch(deployment: Deployment) -> Watch:
    """The deployment's playbooks, watched since it was made."""
    watch = Watch(deployment)
    watch.play(PLAYS)
    watch.play("playbooks/post_deploy.yml")
    return watch

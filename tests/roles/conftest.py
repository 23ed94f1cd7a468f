# SPDX-License-Identifier: Apache-2.0
"""Fixture that deploys while recording visible secrets."""

from __future__ import annotations

import pytest
from deployment import Deployment
from watch import PLAYS, Watch


@pytest.fixture(scope="session")
def watch(deployment: Deployment) -> Watch:
    """Return the watch of the deployment, recording since before the first playbook."""
    watch = Watch(deployment)
    watch.play(PLAYS)
    watch.play("playbooks/post_deploy.yml")
    return watch

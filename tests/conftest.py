# SPDX-License-Identifier: Apache-2.0
"""The deployment under test, found through the operator's directory that KOLLA_CONFIG_DIR names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from deployment import Deployment


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    """The deployment under test; its tests are skipped where none is named."""
    if "KOLLA_CONFIG_DIR" not in os.environ:
        pytest.skip("KOLLA_CONFIG_DIR names no deployment to test")
    return Deployment(Path(os.environ["KOLLA_CONFIG_DIR"]))

# SPDX-License-Identifier: Apache-2.0
"""Fixture for the deployment whose operator's directory is KOLLA_CONFIG_DIR."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from deployment import Deployment


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    """Return the deployment under test; skip its tests if KOLLA_CONFIG_DIR is not set."""
    if "KOLLA_CONFIG_DIR" not in os.environ:
        pytest.skip("KOLLA_CONFIG_DIR is not set")
    return Deployment(Path(os.environ["KOLLA_CONFIG_DIR"]))

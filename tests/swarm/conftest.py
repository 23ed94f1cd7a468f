# SPDX-License-Identifier: Apache-2.0
"""The package's fixtures for tests on a Swarm, reused for tests of several nodes."""

import importlib.util
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2] / "roles/image/files/qinling_kolla/tests"
sys.path.insert(0, str(TESTS))
pytest.register_assert_rewrite("test_swarm_live")

import test_swarm_live  # noqa: E402 - found on the path from above

# Loaded by path, because several modules have this name.
_spec = importlib.util.spec_from_file_location("qinling_kolla_conftest", TESTS / "conftest.py")
assert _spec
assert _spec.loader
_settings = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_settings)

pytest_addoption = _settings.pytest_addoption
conf = _settings.conf
swarm_conf, etcd, manager = test_swarm_live.swarm_conf, test_swarm_live.etcd, test_swarm_live.manager

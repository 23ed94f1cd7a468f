# SPDX-License-Identifier: Apache-2.0
"""Fixture for a simulated Kolla cloud, shared by all tests of this directory."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kolla_cloud import PREFIX, Cloud, download_wheel


@pytest.fixture(scope="session")
def kolla(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of kolla-ansible's wheel that pip installs to share/."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(download_wheel()) as archive:
        archive.extractall(folder)
    return folder / "kolla_ansible-22.2.0.data/data/share/kolla-ansible"


@pytest.fixture(scope="session")
def cloud(kolla: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a running cloud without Qinling."""
    cloud = Cloud(tmp_path_factory.mktemp("kolla"), kolla)
    cloud.write()
    try:
        cloud.play_backing_services("deploy")
        cloud.start_haproxy()
        yield cloud
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", f"{PREFIX}haproxy"], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", f"{PREFIX}haproxy_socket"], capture_output=True, check=False)
        cloud.play_backing_services("destroy")

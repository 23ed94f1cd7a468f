# SPDX-License-Identifier: Apache-2.0
"""The stand-in for a Kolla cloud, once for all tests of this folder."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kolla_cloud import PREFIX, Cloud, fetched


@pytest.fixture(scope="session")
def kolla(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What kolla-ansible's wheel installs under share/."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(fetched()) as archive:
        archive.extractall(folder)
    return folder / "kolla_ansible-22.2.0.data/data/share/kolla-ansible"


@pytest.fixture(scope="session")
def cloud(kolla: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that runs, without Qinling."""
    cloud = Cloud(tmp_path_factory.mktemp("kolla"), kolla)
    cloud.write()
    try:
        cloud.own("deploy")
        cloud.balance()
        yield cloud
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", f"{PREFIX}haproxy"], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", f"{PREFIX}haproxy_socket"], capture_output=True, check=False)
        cloud.own("destroy")

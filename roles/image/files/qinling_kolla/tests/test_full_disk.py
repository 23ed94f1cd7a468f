# SPDX-License-Identifier: Apache-2.0
"""A full disk: the small memory file system in a container's /dev/shm, filled completely."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import make_package

Call = Callable[..., Any]

DISK = Path("/dev/shm")
# Docker's default; a larger file system is not filled.
LARGEST_DISK = 64 << 20
LEFT = 100 << 10
SMALL = make_package("x = 1")
LARGE = make_package(f"x = '{os.urandom(150_000).hex()}'")
PACKAGE = json.dumps({"source": "package"})


@pytest.fixture
def disk(application: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Store packages on a disk with space for a small package and a part of a large one."""
    from qinling.api.controllers.v1 import root

    size = os.statvfs(DISK)
    if size.f_blocks * size.f_frsize > LARGEST_DISK:
        pytest.skip(f"{DISK} is too large to be filled")
    folder = Path(tempfile.mkdtemp(dir=DISK))
    for controller in (root.Controller.functions, root.Controller.functions.versions):
        monkeypatch.setattr(controller.storage_provider, "base_path", str(folder / "packages"))
    free = os.statvfs(DISK).f_bavail * size.f_frsize
    with (folder / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free - LEFT)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def runtime(call: Call, db: Any) -> str:
    return str(db.create_runtime({"image": "python:1", "status": "available"}).id)


def packages(disk: Path) -> list[bytes]:
    """Return the contents of all files in the storage."""
    return [path.read_bytes() for path in (disk / "packages").rglob("*") if path.is_file()]


def create(call: Call, runtime: str, package: bytes) -> Any:
    return call("POST", "/v1/functions", form={"code": PACKAGE, "runtime_id": runtime, "package": package})


def refused(response: Any) -> None:
    assert response.status_int == 507, response.text
    assert "no space left for the package" in json.loads(response.body)["faultstring"]


def test_a_new_function(call: Call, runtime: str, disk: Path) -> None:
    refused(create(call, runtime, LARGE))
    assert call("GET", "/v1/functions").json == {"functions": []}
    assert packages(disk) == []
    # A smaller package fits again.
    assert create(call, runtime, SMALL).status_int == 201
    assert packages(disk) == [SMALL]


def test_another_package(call: Call, runtime: str, disk: Path) -> None:
    function = create(call, runtime, SMALL).json
    refused(call("PUT", f"/v1/functions/{function['id']}", form={"package": LARGE, "entry": "main.other"}))
    assert call("GET", f"/v1/functions/{function['id']}").json == function
    assert call("GET", f"/v1/functions/{function['id']}?download=true").body == SMALL
    assert packages(disk) == [SMALL]


def test_a_version(call: Call, runtime: str, disk: Path) -> None:
    (disk / "ballast").unlink()
    function = create(call, runtime, LARGE).json["id"]
    free = os.statvfs(disk)
    with (disk / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - LEFT)
    refused(call("POST", f"/v1/functions/{function}/versions", {"description": "first"}))
    assert call("GET", f"/v1/functions/{function}/versions").json == {"function_versions": []}
    assert call("GET", f"/v1/functions/{function}").json["latest_version"] == 0
    assert packages(disk) == [LARGE]
    (disk / "ballast").unlink()
    assert call("POST", f"/v1/functions/{function}/versions", {"description": "first"}).status_int == 201
    assert packages(disk) == [LARGE, LARGE]

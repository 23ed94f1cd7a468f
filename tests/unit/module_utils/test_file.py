# SPDX-License-Identifier: Apache-2.0
"""Files on the host and their copies in containers."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.file import File
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Run

CONTAINER = {"name": "proxy", "path": "/in", "mode": "0700", "signal": "USR2"}
OWNER = {"owner": str(os.getuid()), "group": str(os.getgid())}


def desired(path: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "file", "path": str(path), "content": "a\n", "mode": "0660", **OWNER, **more}


@pytest.mark.parametrize(
    ("host", "mode", "copy", "expected"),
    [
        (b"a\n", 0o660, b"a\n", []),
        (b"b\n", 0o660, b"a\n", ["{path}"]),
        (None, 0o660, b"a\n", ["{path}"]),
        (b"a\n", 0o640, b"a\n", ["owner or mode of {path}"]),
        (b"a\n", 0o4660, b"a\n", ["owner or mode of {path}"]),
        (b"a\n", 0o660, b"b\n", ["/in in proxy"]),
        (b"a\n", 0o660, None, ["/in in proxy"]),
    ],
)
def test_differences_of_file_and_copy(
    host: bytes | None,
    mode: int,
    copy: bytes | None,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "qinling.cfg"
    if host is not None:
        path.write_bytes(host)
        path.chmod(mode)

    def raw(_self: DockerApi, url: str) -> tuple[int, bytes]:
        assert url == "/containers/proxy/archive?path=/in"
        if copy is None:
            return 404, b"{}"
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo("in")
            member.size = len(copy)
            archive.addfile(member, io.BytesIO(copy))
        return 200, stream.getvalue()

    monkeypatch.setattr(DockerApi, "raw", raw)
    found = File(desired(path, container=CONTAINER), Run()).differences()
    assert found == [text.format(path=path) for text in expected]


def test_another_owner_is_a_difference(tmp_path: Path) -> None:
    path = tmp_path / "qinling.cfg"
    path.write_text("a\n")
    path.chmod(0o660)
    file = File(desired(path, owner=str(os.getuid() + 1)), Run())
    assert file.differences() == [f"owner or mode of {path}"]
    assert File(desired(path, owner=None, group=None), Run()).differences() == []


def applied(state: dict[str, Any], run: Run | None = None) -> File:
    file = File(state, run or Run())
    file.apply()
    return file


@pytest.mark.parametrize("check", [True, False])
def test_apply_writes_file_and_directories(check: bool, tmp_path: Path) -> None:
    path = tmp_path / "some" / "more" / "qinling.cfg"
    file = applied(desired(path, directory_mode="0750"), Run(check=check))
    assert file.done == [str(path)]
    assert file.diff == {"before_header": str(path), "after_header": str(path), "before": "", "after": "a\n"}
    assert path.exists() is not check
    if not check:
        assert (path.read_text(), path.stat().st_mode & 0o7777) == ("a\n", 0o660)
        assert {parent.stat().st_mode & 0o7777 for parent in path.parents[:2]} == {0o750}
        again = applied(desired(path))
        assert (again.done, again.diff) == ([], {})


def test_wrong_mode_is_corrected_without_a_diff(tmp_path: Path) -> None:
    path = tmp_path / "qinling.cfg"
    path.write_text("a\n")
    path.chmod(0o600)
    file = applied(desired(path, container={"name": "missing", "validate": ["false"]}))
    assert file.done == [f"owner or mode of {path}"]
    assert (path.stat().st_mode & 0o7777, file.diff) == (0o660, {})


def test_create_only_and_secret_files(tmp_path: Path) -> None:
    path = tmp_path / "qinling.cfg"
    path.write_text("b\n")
    assert applied(desired(path, create_only=True)).done == []
    file = applied(desired(path, secret=True))
    assert (file.done, file.diff) == ([str(path)], {})


def test_file_that_cannot_be_written_or_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QinlingError, match="cannot be written: No such file or directory"):
        applied(desired(tmp_path / "missing" / "qinling.cfg"))
    monkeypatch.setattr(DockerApi, "get", lambda *_args: (404, {"message": "No such container"}))
    unvalidated = desired(tmp_path / "qinling.cfg", container={"name": "proxy", "validate": ["true"]})
    with pytest.raises(
        QinlingError, match="was not written: the container proxy, which validates the file, does not run"
    ):
        applied(unvalidated)
    assert not list(tmp_path.iterdir())

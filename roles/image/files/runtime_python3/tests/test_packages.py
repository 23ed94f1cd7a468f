# SPDX-License-Identifier: Apache-2.0
"""Packages: changes are detected, packages never mix, and harmful archives are refused."""

import hashlib
import io
import shutil
import stat
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import archive

from qinling_runtime import packages
from qinling_runtime.sidecar import Folder


def read(
    store: Any,
    api: Any,
    function_id: str = "f",
    version: int = 0,
    token: Any = None,
    url: str | None = None,
    **expected: Any,
) -> Any:
    with store.use(function_id, version, url or api.url, token, packages.Expected(**expected)) as path:
        return (path / "main.py").read_text()


@pytest.fixture
def store(settings: Any) -> Any:
    return packages.PackageStore(settings)


@pytest.mark.parametrize("tags", [True, False])
def test_changed_package_is_downloaded_again(store: Any, api: Any, settings: Any, tags: bool) -> None:
    for content in ("one", "two", "one", "one"):
        api.content = archive({"main.py": content})
        api.etag = f'"{content}"' if tags else None
        assert read(store, api) == content
    assert len(list(Path(settings.packages).iterdir())) == 1


def test_unchanged_package_with_entity_tag_is_not_downloaded_again(store: Any, api: Any) -> None:
    api.content, api.etag = archive({"main.py": "x"}), '"1"'
    for _number in range(3):
        assert read(store, api) == "x"
    assert len(api.seen) == 3
    assert api.sent == len(api.content)


def checksum(data: Any) -> Any:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_current_package_needs_no_request(store: Any, api: Any) -> None:
    for content, requests in (("one", 1), ("one", 1), ("two", 2), ("two", 2), ("one", 3)):
        api.content = archive({"main.py": content})
        assert read(store, api, md5=checksum(api.content)) == content
        assert len(api.seen) == requests


def test_package_that_changed_after_the_engines_request_is_stored_by_content(store: Any, api: Any) -> None:
    old, new = (archive({"main.py": text}) for text in ("old", "new"))
    api.content = new
    assert read(store, api, md5=checksum(old)) == "new"
    # Changed back: the stored package differs from the expected one, independent of the first request.
    api.content = old
    assert read(store, api, md5=checksum(old)) == "old"
    assert len(api.seen) == 2


def test_final_package_is_requested_once(store: Any, api: Any) -> None:
    api.content = archive({"main.py": "x"})
    for _number in range(3):
        assert read(store, api, version=1, final=True) == "x"
    assert len(api.seen) == 1


def test_missing_package_is_downloaded_again(store: Any, api: Any, settings: Any) -> None:
    api.content = archive({"main.py": "x"})
    for requests in (1, 2):
        assert read(store, api, md5=checksum(api.content)) == "x"
        assert len(api.seen) == requests
        shutil.rmtree(next(Path(settings.packages).iterdir()))


def test_without_expected_package_the_api_is_queried(store: Any, api: Any) -> None:
    api.content = archive({"main.py": "x"})
    for _number in range(2):
        read(store, api, md5=checksum(api.content))
        read(store, api)
    assert len(api.seen) == 3


def test_concurrent_executions_download_an_expected_package_once(store: Any, api: Any) -> None:
    api.content = archive({"main.py": "x" * 1000})
    expected = checksum(api.content)
    threads = [threading.Thread(target=lambda: read(store, api, md5=expected)) for _number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.seen) == 1


def test_functions_and_versions_do_not_mix(store: Any, api: Any) -> None:
    seen = {}
    for function_id, version in (("f", 0), ("f", 1), ("g", 0), ("f-1", 0), ("f", 10)):
        api.content = archive({"main.py": f"{function_id}/{version}"})
        with store.use(function_id, version, f"{api.url}&n={function_id}-{version}", None) as path:
            seen[path] = f"{function_id}/{version}"
    assert len(seen) == 5
    for path, content in seen.items():
        assert (path / "main.py").read_text() == content


def test_package_in_use_is_not_removed(store: Any, api: Any) -> None:
    api.content = archive({"main.py": "old"})
    with store.use("f", 0, api.url, None) as old:
        api.content = archive({"main.py": "new"})
        assert read(store, api) == "new"
        assert (old / "main.py").read_text() == "old"


def test_concurrent_executions_get_complete_packages(store: Any, api: Any) -> None:
    api.content = archive({"main.py": "x" * 100000, **{f"d/{n}": "y" for n in range(50)}})
    found = []
    threads = [threading.Thread(target=lambda: found.append(read(store, api))) for _number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["x" * 100000] * 10


def test_the_token_goes_to_the_api_and_nowhere_else(store: Any, api: Any) -> None:
    api.content = archive({"main.py": "x"})
    read(store, api, token="t0ken")
    assert api.seen[-1][1]["X-Auth-Token"] == "t0ken"
    api.status, api.headers = 302, {"Location": api.url}
    with pytest.raises(packages.PackageError, match="HTTP status 302"):
        read(store, api, token="t0ken")
    assert len(api.seen) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 500, 304])
def test_errors_of_the_api_are_reported_without_the_query(store: Any, api: Any, status: int) -> None:
    api.status = status
    with pytest.raises(packages.PackageError) as caught:
        read(store, api, token="t0ken")
    assert f"HTTP status {status}" in str(caught.value)
    assert "download=true" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "", "/etc/passwd"])
def test_other_addresses_are_refused(store: Any, api: Any, url: str) -> None:
    with pytest.raises(packages.PackageError, match=r"neither http nor https"), store.use("f", 0, url, None):
        pass


def test_connection_refused(store: Any) -> None:
    with (
        pytest.raises(packages.PackageError, match=r"Connection refused"),
        store.use("f", 0, "http://127.0.0.1:9/x", None),
    ):
        pass


@pytest.mark.parametrize("name", ["../f", "a/b", "", ".hidden", "a" * 200, None])
def test_invalid_function_ids_are_refused(store: Any, api: Any, name: str | None) -> None:
    if name is None:
        assert packages.check_name(name, "x") == "None"
        return
    with pytest.raises(packages.PackageError, match=r"not a valid identifier"):
        read(store, api, function_id=name)


def special(mode: Any) -> Any:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as target:
        info = zipfile.ZipInfo("link")
        info.external_attr = mode << 16
        target.writestr(info, "/etc/passwd")
    return result.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"no zip at all", "not a usable zip"),
        (b"", "not a usable zip"),
        (archive({"a": "x" * 100})[:-30], "not a usable zip"),
        (archive({"../evil": "x"}), "outside its directory"),
        (archive({"a/../../evil": "x"}), "outside its directory"),
        (archive({"/evil": "x"}), "outside its directory"),
        (archive({"a\\..\\evil": "x"}), "outside its directory"),
        (special(stat.S_IFLNK | 0o777), "link or a special file"),
        (special(stat.S_IFIFO | 0o600), "link or a special file"),
        (archive({str(n): "" for n in range(11)}), "11 entries, more than 10"),
        (archive({"a": "x" * 5000, "b": "x" * 6000}), "11000 bytes, more than 10000"),
        (archive({"a": "x", "a/b": "y"}), "not a usable zip"),
    ],
)
def test_harmful_archives(tmp_path: Path, data: Any, expected: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(packages.PackageError, match=expected):
        packages.unpack(io.BytesIO(data), target, max_files=10, max_bytes=10000)
    assert not (tmp_path / "evil").exists()
    assert not [path for path in target.rglob("*") if path.is_symlink()]


def test_refused_package_leaves_no_files(store: Any, api: Any, settings: Any) -> None:
    api.content = archive({"good": "x", "../evil": "x"})
    with pytest.raises(packages.PackageError):
        read(store, api)
    assert not list(Path(settings.packages).iterdir())


def test_size_of_a_download_is_limited(settings: Any, api: Any) -> None:
    api.content = b"x" * 1001
    small = type(settings)(packages=settings.packages, max_package=1000)
    with pytest.raises(packages.PackageError, match="larger than 1000 bytes"):
        read(packages.PackageStore(small), api)


def test_programs_stay_executable(store: Any, api: Any) -> None:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as target:
        info = zipfile.ZipInfo("main.py")
        info.external_attr = (stat.S_IFREG | 0o755) << 16
        target.writestr(info, "x")
        target.writestr("plain", "x")
    api.content = result.getvalue()
    with store.use("f", 0, api.url, None) as path:
        assert (path / "main.py").stat().st_mode & 0o777 == 0o755
        assert (path / "plain").stat().st_mode & 0o777 == 0o644


def test_the_sidecar_keeps_its_folder_current(settings: Any, api: Any) -> None:
    folder, root = Folder(settings), Path(settings.packages)
    fields = {"function_id": "f", "download_url": api.url}
    for content in ("one", "two"):
        api.content, api.etag = archive({"main.py": content}), f'"{content}"'
        for _number in range(2):
            folder.fetch(fields)
            assert (root / "f" / "main.py").read_text() == content
            assert (root / "f.zip").read_bytes() == api.content
    assert sorted(path.name for path in root.iterdir()) == ["f", "f.zip"]
    # Another version with the same name, and back.
    api.content, api.etag = archive({"main.py": "three"}), '"three"'
    folder.fetch({**fields, "download_url": f"{api.url}&v=3"})
    assert (root / "f" / "main.py").read_text() == "three"
    api.content, api.etag = archive({"main.py": "two"}), '"two"'
    folder.fetch(fields)
    assert (root / "f" / "main.py").read_text() == "two"
    with pytest.raises(packages.PackageError):
        folder.fetch({**fields, "function_id": "../f"})


def test_sidecar_can_skip_unpacking(settings: Any, api: Any) -> None:
    api.content = archive({"main.py": "x"})
    Folder(settings).fetch({"function_id": "f", "download_url": api.url, "unzip": False})
    assert [path.name for path in Path(settings.packages).iterdir()] == ["f.zip"]

# SPDX-License-Identifier: Apache-2.0
"""The tarball that ansible-galaxy installs has the whole collection, and nothing that only its developers need."""

from __future__ import annotations

import posixpath
import subprocess
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
# Files and folders that stay out. A new one of this kind belongs here and into build_ignore of galaxy.yml.
DEVELOPMENT = (
    ".ansible-lint",
    ".ci",
    ".config",
    ".gitignore",
    ".yamllint",
    "Makefile",
    "ansible.cfg",
    "bench",
    "collections",
    "docs/generate.py",
    "docs/kolla.yml",
    "molecule",
    "pyproject.toml",
    "requirements-test.txt",
    "tests",
)
# ansible-galaxy writes these from galaxy.yml.
MANIFESTS = {"MANIFEST.json", "FILES.json"}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    """Return the tarball's files and links by path, folders left out."""
    folder = tmp_path_factory.mktemp("tarball")
    command = ["ansible-galaxy", "collection", "build", "--output-path", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(folder.glob("qinling-kolla-*.tar.gz"))) as archive:
        return {member.name: member for member in archive.getmembers() if not member.isdir()}


def is_under(path: str, folders: tuple[str, ...]) -> bool:
    """Return whether a path is one of the given paths, or inside of one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def test_the_tarball_has_all_files_but_those_of_developers(members: dict[str, tarfile.TarInfo]) -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("not a git checkout, so nothing lists the collection's files")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    # A removed file is listed until its removal is committed.
    files = {path for path in listed.split("\0") if path and (PROJECT / path).exists()}
    shipped = {path for path in files if path != "galaxy.yml" and not is_under(path, DEVELOPMENT)}
    assert set(members) - MANIFESTS == shipped


def test_the_tarball_has_each_part_of_the_collection(members: dict[str, tarfile.TarInfo]) -> None:
    for path in (
        "README.md",
        "changelogs/config.yaml",
        "docs/variables.md",
        "group_vars/all/services.yml",
        "inventory/kolla/groups",
        "meta/runtime.yml",
        "playbooks/site.yml",
        "plugins/modules/precheck.py",
        "roles/qinling/files/policy.yaml",
        "roles/settings/meta/input_rules.yml",
    ):
        assert path in members
    # What images are made of, with the packages inside of them.
    assert any(path.endswith("/qinling-base/install.sh") for path in members)
    assert any(path.endswith("/qinling_kolla/pyproject.toml") for path in members)


def test_links_of_the_tarball_stay_inside_of_it(members: dict[str, tarfile.TarInfo]) -> None:
    links = {path: member.linkname for path, member in members.items() if member.issym() or member.islnk()}
    assert links == {"playbooks/group_vars": "../group_vars", "roles/settings/defaults/main": "../../../group_vars/all"}
    for path, target in links.items():
        folder = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        assert any(name.startswith(f"{folder}/") for name in members)

# SPDX-License-Identifier: Apache-2.0
"""The lowest, the pinned and the highest ansible-core make the same of the same settings: no container is recreated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import environments
import pytest
import yaml
from playbook_runs import PINNED, changed, play


def render(directory: Path, version: str) -> str:
    """Write an operator's files by an ansible-core; return what was printed."""
    return play(directory, "tests/versions/render.yml", "--diff", "-e", f"@{directory}/globals.yml", version=version)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An operator's directory, with the files that the pinned ansible-core makes of it."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "globals.yml").write_text((environments.PROJECT / "tests/versions/settings.yml").read_text())
    assert changed(render(folder, PINNED)) > 0
    yield folder


@pytest.mark.parametrize("version", [PINNED, environments.LOWEST, environments.HIGHEST])
def test_files_and_digests_are_those_of_the_pinned_version(directory: Path, version: str) -> None:
    shown = render(directory, version)
    assert changed(shown) == 0, shown[-8000:]


@pytest.mark.parametrize("version", [environments.LOWEST, environments.HIGHEST])
def test_images_are_not_rebuilt(tmp_path: Path, version: str) -> None:
    (tmp_path / "globals.yml").write_text("{}\n")
    assert "Nothing: every image has the inputs" in play(tmp_path, "playbooks/build.yml", "--check", version=version)


def test_the_lowest_version_is_the_one_that_the_collection_requires() -> None:
    runtime = yaml.safe_load((environments.PROJECT / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == f">={environments.LOWEST}.0"

# SPDX-License-Identifier: Apache-2.0
"""Tests that the lowest, pinned and highest ansible-core render equal files and digests, so that containers remain."""

from __future__ import annotations

from pathlib import Path

import environments
import pytest
import yaml
from playbook_runs import PINNED, changed, play


def render(directory: Path, version: str) -> str:
    """Render the files with an ansible-core version and return the output."""
    return play(directory, "tests/versions/render.yml", "--diff", "-e", f"@{directory}/globals.yml", version=version)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an operator's directory with the files that the pinned ansible-core renders."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "globals.yml").write_text((environments.PROJECT / "tests/versions/settings.yml").read_text())
    assert changed(render(folder, PINNED)) > 0
    return folder


@pytest.mark.parametrize("version", [PINNED, environments.LOWEST, environments.HIGHEST])
def test_files_and_digests_match_pinned_version(directory: Path, version: str) -> None:
    shown = render(directory, version)
    assert changed(shown) == 0, shown[-8000:]


@pytest.mark.parametrize("version", [environments.LOWEST, environments.HIGHEST])
def test_images_are_not_rebuilt(tmp_path: Path, version: str) -> None:
    (tmp_path / "globals.yml").write_text("{}\n")
    assert "Nothing to build" in play(tmp_path, "playbooks/build.yml", "--check", version=version)


def test_lowest_version_matches_requirement_of_collection() -> None:
    runtime = yaml.safe_load((environments.PROJECT / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == f">={environments.LOWEST}.0"


def test_pinned_version_matches_requirements() -> None:
    requirements = (environments.PROJECT / "requirements.txt").read_text().splitlines()
    assert f"ansible=={environments.VERSIONS[PINNED][0]}" in requirements
    assert any(line.startswith(f"ansible-core=={PINNED}.") for line in requirements)

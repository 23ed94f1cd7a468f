# SPDX-License-Identifier: Apache-2.0
"""Validation of options in images, and images that fail."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config import option_check as module


class Docker:
    """A fake Docker: images by name, and containers by name with their image and digest."""

    def __init__(self, images: dict[str, str], containers: dict[str, tuple[str, str]]) -> None:
        self.images = images
        self.containers = containers

    def has_image(self, image: str) -> bool:
        return image in self.images

    def get(self, url: str) -> tuple[int, Any]:
        _empty, kind, name, _json = url.split("/", 3)
        if kind == "images":
            return (200, {"Id": self.images[name]}) if name in self.images else (404, {})
        if name not in self.containers:
            return 404, {}
        image, digest = self.containers[name]
        return 200, {"Image": image, "Config": {"Labels": {module.CONFIGURATION: digest} if digest else {}}}


def check(service: str, image: str = "image", digest: str = "d1") -> dict[str, Any]:
    names = {"service": service, "image": image, "container": f"c_{service}"}
    return {**names, "digest": digest, "files": {"f": service}, "provided": ["/p"]}


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Return the files that were validated by image. The image "broken" fails; the image "far" can be pulled."""
    calls: list[tuple[str, list[str]]] = []

    def run_script(image: str, request: dict[str, Any], _script: str) -> tuple[dict[str, Any], str]:
        files = request["files"]
        calls.append((image, list(files)))
        assert request["provided"] == {name: ["/p"] for name in files}
        return (
            ({}, "script failed")
            if image == "broken"
            else ({name: [{"option": text}] for name, text in files.items()}, "")
        )

    monkeypatch.setattr(module, "run_script", run_script)
    monkeypatch.setattr(module, "pull", lambda image: "" if image == "far" else f"no {image}")
    return calls


def validate(docker: Any, *checks: dict[str, Any], force: bool = False, pull: bool = False) -> dict[str, Any]:
    return module.validate(docker, {"checks": checks, "script": "", "force": force, "pull": pull})


def test_services_of_one_image_are_validated_together(validated: list[tuple[str, list[str]]]) -> None:
    answer = validate(Docker({"image": "1", "other": "2"}, {}), check("a"), check("b"), check("c", "other"))
    assert sorted(validated) == [("image", ["a/f", "b/f"]), ("other", ["c/f"])]
    assert answer["validated"] == ["a", "b", "c"]
    assert answer["found"] == [{"service": name, "file": "f", "option": name} for name in "abc"]


RUNNING = {
    "the same image and files": ({"c_a": ("1", "d1")}, False),
    "other files": ({"c_a": ("1", "d2")}, True),
    "another image": ({"c_a": ("0", "d1")}, True),
    "no label": ({"c_a": ("1", "")}, True),
    "no container": ({}, True),
}


@pytest.mark.parametrize(("containers", "due"), RUNNING.values(), ids=RUNNING)
def test_deployed_files_are_not_validated_again(
    containers: dict[str, tuple[str, str]], due: bool, validated: list[tuple[str, list[str]]]
) -> None:
    docker = Docker({"image": "1"}, containers)
    assert validate(docker, check("a"))["validated"] == ["a"]
    assert bool(validated) == due
    validate(docker, check("a"), force=True)
    assert validated[-1:] == [("image", ["a/f"])]


def test_images_that_fail_are_reported(validated: list[tuple[str, list[str]]]) -> None:
    docker = Docker({"broken": "1"}, {})
    answer = validate(docker, check("a", "far"), check("b", "missing"), check("c", "broken"))
    assert (answer["validated"], answer["found"]) == ([], [])
    assert answer["not_validated"] == {
        "a": "the image far is not on this host yet",
        "b": "the image missing is not on this host yet",
        "c": "script failed",
    }
    answer = validate(docker, check("a", "far"), check("b", "missing"), pull=True)
    assert answer["validated"] == ["a"]
    assert answer["not_validated"] == {"b": "the image missing cannot be pulled: no missing"}


def test_failed_script_is_reported_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = (125, "", "docker: no such image.\nSee 'docker run --help'.")
    calls = []

    def docker(*arguments: str, text: str = "") -> tuple[int, str, str]:
        calls.append((arguments, text))
        return ended

    monkeypatch.setattr(module, "docker", docker)
    assert module.run_script("image", {"files": {"a/f": "hunter2"}}, "script") == (
        {},
        "the options of image image cannot be read: docker: no such image.",
    )
    # The input is not on the command line, and the container is removed.
    assert "hunter2" not in str([arguments for arguments, _text in calls])
    assert "hunter2" in calls[0][1]
    assert calls[1][0][:2] == ("rm", "--force")

# SPDX-License-Identifier: Apache-2.0
"""User-supplied names."""

import pytest

from qinling_kolla.orchestrator import names

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    "value",
    [
        "alpine",
        "alpine:3.20",
        "library/alpine",
        "docker.io/library/alpine:latest",
        "localhost:5000/team/func_a.b-c:V1.0_x-y",
        "registry.example.com:443/a/b/c@" + DIGEST,
        "registry.example.com/a:tag@" + DIGEST,
        "[2001:db8::1]:5000/a",
        "REGISTRY.example/a",
        "a__b",
        "a--b",
        "a:" + "t" * 128,
        "a" * 255,
    ],
)
def test_good_images(value: str) -> None:
    assert names.image(value) == value


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        7,
        {"image": "x"},
        "Alpine",
        "alpine:",
        "alpine: latest",
        " alpine",
        "alpine\n",
        "a/b/",
        "/a",
        "a//b",
        "a___b",
        ".a",
        "a:-t",
        "a:" + "t" * 129,
        "a@sha256:abc",
        "a" * 256,
        "ünicode",
        "alpine\n  securityContext:\n    privileged: true",
        'x", "securityContext": {"privileged": true}, "y": "',
        "alpine # comment",
        "$(id)",
        "alpine;id",
    ],
)
def test_bad_images(value: object) -> None:
    with pytest.raises(names.InvalidName, match="Invalid image name") as raised:
        names.image(value)
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("value", ["main.main", "a.b.c", "_pkg.mod1.Func_2"])
def test_good_entries(value: str) -> None:
    assert names.entry(value) == value


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "main",
        ".main",
        "main.",
        "a..b",
        "a.b()",
        "a b.c",
        "1a.b",
        "a.b\n",
        "../a.b",
        "os.system;x.y",
        "é.b",
        "m." * 40 + "x",
    ],
)
def test_bad_entries(value: object) -> None:
    with pytest.raises(names.InvalidName, match="Invalid entry"):
        names.entry(value)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("0123456789abcdef" * 2, True),
        ("0123456789ABCDEF" * 2, False),
        ("../" * 11, False),
        ("ab", False),
        (None, False),
    ],
)
def test_md5sums(value: object, good: bool) -> None:
    if good:
        assert names.md5sum(value) == value
    else:
        with pytest.raises(names.InvalidName, match="Invalid md5sum"):
            names.md5sum(value)

# SPDX-License-Identifier: Apache-2.0
"""Every relative link of the documentation leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page.relative_to(PROJECT).as_posix()
    for pattern in ("*.md", "docs/*.md", "roles/README.md", "roles/*/README.md", "[bmpt]*/**/README.md")
    for page in PROJECT.glob(pattern)
)
_CODE = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
# [text](target), also of a picture; the text may contain code with brackets.
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


def prose_of(page: Path) -> str:
    """Return the Markdown of a page without its fenced blocks, where # begins a comment."""
    return _CODE.sub("", page.read_text(encoding="utf-8"))


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(page: Path) -> Iterator[str]:
    """Yield the targets of the links of a page that do not exist."""
    for target in _LINK.findall(prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _unused, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in map(anchor_of, _HEADING.findall(prose_of(file)))):
            yield target


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_resolve(name: str) -> None:
    assert not list(broken_links(PROJECT / name))


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page, with `code`\n[a](page.md#a-page-with-code) [b](#none) ![c](c.svg) [d](https://example.org)\n"
        "```sh\n# a comment\n```\n[e](#a-comment)\n"
    )
    assert list(broken_links(page)) == ["#none", "c.svg", "#a-comment"]

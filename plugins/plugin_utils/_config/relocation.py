# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Map a line of a rendered template back to the line of the template that the operator edits."""

from __future__ import annotations

import difflib
import re

import jinja2
import jinja2.meta

# Rendered values are unknown: an option is identified by its name, any other line by its text.
_OPTION = re.compile(r"([^\s\[#;{=:][^{=:]*?)\s*[=:]")


class Relocation:
    """The lines of a template, aligned with the lines rendered from it."""

    def __init__(self, raw: str, rendered: str) -> None:
        self._lines = raw.split("\n")
        self._raw = [_key(line) for line in self._lines]
        self._rendered = [_key(line) for line in rendered.split("\n")]
        matcher = difflib.SequenceMatcher(None, self._raw, self._rendered, autojunk=False)
        self._aligned = {
            block.b + step + 1: block.a + step + 1
            for block in matcher.get_matching_blocks()
            for step in range(block.size)
        }

    def line(self, number: int) -> int:
        """Return the template's line for a line of the rendered text, or 0 if it cannot be determined."""
        if number in self._aligned:
            return self._aligned[number]
        # A loop renders one line many times.
        same = [
            line
            for line, key in enumerate(self._raw, start=1)
            if 0 < number <= len(self._rendered) and key == self._rendered[number - 1]
        ]
        return same[0] if len(same) == 1 else 0

    def variables(self, number: int) -> set[str]:
        """Return the variables in a line of the template."""
        if number < 1:
            return set()
        try:
            return jinja2.meta.find_undeclared_variables(
                jinja2.Environment(autoescape=True).parse(self._lines[number - 1])
            )
        except jinja2.TemplateSyntaxError:  # Part of a multi-line expression.
            return set()


def _key(line: str) -> str:
    option = _OPTION.match(line)
    return f"{option.group(1)} =" if option else line.rstrip()

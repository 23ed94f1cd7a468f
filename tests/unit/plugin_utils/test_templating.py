# SPDX-License-Identifier: Apache-2.0
"""Templating, and errors with the line of the template."""

from pathlib import Path

import jinja2
import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import templating

GOOD = {
    "nothing to do": ("a = $x %(y)s\n", "a = $x %(y)s\n"),
    "a variable": ("a = {{ name }}\n", "a = N\n"),
    "no newline at the end": ("{{ name }}", "N"),
    "only a number": ("{{ number }}", "5"),
    "none": ("{{ none }}", ""),
    "blocks leave no empty line": ("{% if true %}\na\n{% endif %}\nb\n", "a\nb\n"),
    "an include in the same directory": ("{% include 'part' %}", "part of N"),
    "backslashes stay": ("a = \\n {{ name }} \\1\n", "a = \\n N \\1\n"),
}
VARIABLES = {"name": "N", "number": 5, "none": None}


def render(folder: Path, text: str) -> str:
    (folder / "part").write_text("part of {{ name }}")
    templar = Templar(loader=DataLoader(), variables={})
    return templating.render(templar, VARIABLES, [], text, str(folder / "f.conf"))


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD)
def test_render(tmp_path: Path, text: str, expected: str) -> None:
    assert render(tmp_path, text) == expected


BAD = {
    "syntax": ("a\nb = {{ x\n", 2, "not a valid template"),
    "an empty expression": ("a\n\nb = {{ }}\n", 3, "not a valid template"),
    "a block that is not closed": ("a\n{% if name %}\nb\n", 2, "not a valid template"),
    "undefined": ("a\nb\nc = {{ nobody }}\n", 3, "'nobody' is undefined"),
    "undefined inside a block": ("{% if true %}\na\n{{ nobody.x }}\n{% endif %}\n", 3, "'nobody' is undefined"),
    "a missing attribute": ("a\nb = {{ name.nothing }}\n", 2, "nothing"),
    "division by zero": ("a\n{% set x = 1 // 0 %}\n", 2, "zero"),
}


@pytest.mark.parametrize(("text", "line", "words"), BAD.values(), ids=BAD)
def test_errors_have_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(FindingsError) as error:
        render(tmp_path, text)
    (finding,) = error.value.findings
    assert (finding.where, finding.line) == (str(tmp_path / "f.conf"), line)
    assert words in finding.message
    assert "\n" not in finding.message


def test_template_lines_of_compiled_code() -> None:
    assert [templating.template_line("1=12&4=20&9=31", code) for code in (11, 12, 25, 99)] == [0, 1, 4, 9]
    assert templating.template_line("", 5) == 0
    source = "a\nb\n{{ 1 // zero }}\n"
    with pytest.raises(ZeroDivisionError) as caught:
        jinja2.Template(source).render(zero=0)
    assert templating.explain(caught.value, source, "f").line == 3


def test_variables_are_restored() -> None:
    class Templar:
        available_variables: dict[str, int] = {"a": 1}

    def fail(templar: Templar) -> None:
        with templating.variables_of(templar, {"b": 2}) as borrowed:
            assert borrowed.available_variables == {"b": 2}
            raise KeyError

    templar = Templar()
    with pytest.raises(KeyError):
        fail(templar)
    assert templar.available_variables == {"a": 1}

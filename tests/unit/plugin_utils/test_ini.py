# SPDX-License-Identifier: Apache-2.0
"""Parsing and merging of INI files."""

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini

# The result of Kolla Ansible 11.4's merge_configs for the same layers, read by oslo.config's parser.
MERGED = {
    "a later layer replaces": (["[A]\na = 1\nb = 1\n", "[A]\na = 2\n"], "[A]\na = 2\nb = 1\n"),
    "a repeated option is multi-valued": (["[A]\na = 1\na = 2\n"], "[A]\na = 1\na = 2\n"),
    "all values are replaced": (["[A]\na = 1\na = 2\n", "[A]\na = 3\n"], "[A]\na = 3\n"),
    "one value is replaced by many": (["[A]\na = 1\n", "[A]\na = 2\na = 3\n"], "[A]\na = 2\na = 3\n"),
    "sections with the same name are merged": (
        ["[A]\na = 1\n[B]\nb = 1\n[A]\na = 2\n"],
        "[A]\na = 1\na = 2\n\n[B]\nb = 1\n",
    ),
    "a new section is last": (["[A]\na = 1\n", "[B]\nb = 1\n"], "[A]\na = 1\n\n[B]\nb = 1\n"),
    "an empty section stays": (["[A]\n", "[B]\nb = 1\n"], "[A]\n\n[B]\nb = 1\n"),
    "comments are dropped": (["# c\n; c\n[A]\n#a = 1\na = 2 # no comment\n"], "[A]\na = 2 # no comment\n"),
    "an empty value": (["[A]\na = 1\n", "[A]\na =\n"], "[A]\na =\n"),
    "an option without spaces": (["[A]\na=1\n"], "[A]\na = 1\n"),
    "a colon separates": (["[A]\na: 1\n"], "[A]\na = 1\n"),
    "the first separator counts": (["[A]\na = x:y=z\nb: x=y\n"], "[A]\na = x:y=z\nb = x=y\n"),
    "a name with spaces": (["[A]\na b = 1\n"], "[A]\na b = 1\n"),
    "a continuation": (["[A]\nab = 1\n 2\n\t3\n"], "[A]\nab = 1\n     2\n     3\n"),
    "a continuation of nothing": (["[A]\na =\n  1\n"], "[A]\na =\n    1\n"),
    "an indented comment continues": (["[A]\na = 1\n  # 2\n"], "[A]\na = 1\n    # 2\n"),
    "a continued option is replaced completely": (["[A]\na = 1\n  2\n", "[A]\na = 3\n"], "[A]\na = 3\n"),
    "interpolation characters stay": (["[A]\na = %(b)s $c ${d} %% $$\n"], "[A]\na = %(b)s $c ${d} %% $$\n"),
    "non-ASCII stays": (["[Ä]\nñ = 漢字 é\u2028x\n"], "[Ä]\nñ = 漢字 é\u2028x\n"),
    "CRLF becomes LF": (["[A]\r\na = 1\r\n 2\r\n\r\nb = 3\r\n"], "[A]\na = 1\n    2\nb = 3\n"),
    "a byte order mark is dropped": (["\ufeff[A]\na = 1\n"], "[A]\na = 1\n"),
    "no newline at the end": (["[A]\na = 1"], "[A]\na = 1\n"),
    "quotes are dropped": (['[A]\na = "x y"\nb = \'z\'\nc = ""\n'], "[A]\na = x y\nb = z\nc =\n"),
    "unpaired quotes stay": (['[A]\na = "x\'\nb = x"\n'], '[A]\na = "x\'\nb = x"\n'),
    "names are case sensitive": (["[A]\na = 1\nA = 2\n[a]\na = 3\n"], "[A]\nA = 2\na = 1\n\n[a]\na = 3\n"),
    "nothing": (["", "\n\n# c\n"], ""),
}
# Layers for which Kolla's result has another meaning than its sources.
DIFFERENT_FROM_KOLLA = {
    "options before any section come first": (["[A]\na = 1\n", "b = 1\n"], "b = 1\n\n[A]\na = 1\n"),
    "options before any section are merged": (
        ["b = 1\n[A]\na = 1\n", "b = 2\nb = 3\n"],
        "b = 2\nb = 3\n\n[A]\na = 1\n",
    ),
    "quotes around whitespace stay": (['[A]\na = " x "\n'], '[A]\na = " x "\n'),
    "quotes within quotes stay": (["[A]\na = \"'x'\"\n"], "[A]\na = \"'x'\"\n"),
}


def merged_text(*layers: str) -> str:
    """Return the text of layers merged in order."""
    parsed = [ini.parse(text, f"{number}.conf") for number, text in enumerate(layers)]
    assert [findings for _sections, findings in parsed] == [[]] * len(layers)
    return ini.render(ini.merge(sections for sections, _findings in parsed))


@pytest.mark.parametrize(
    ("layers", "expected"), [*MERGED.values(), *DIFFERENT_FROM_KOLLA.values()], ids=[*MERGED, *DIFFERENT_FROM_KOLLA]
)
def test_merge(layers: list[str], expected: str) -> None:
    merged = merged_text(*layers)
    assert merged == expected
    assert merged_text(merged) == expected


BROKEN = {
    "no separator": ("[A]\nnonsense\n", [(2, "no '=' or ':'")]),
    "continuations are not reported again": ("[A]\nnonsense\n  more\n  more\n", [(2, "no '=' or ':'")]),
    "no name": ("[A]\n= 1\n: 2\n", [(2, "name before"), (3, "name before")]),
    "open header": ("[A\na = 1\nb = 2\n", [(1, "does not end with ']'")]),
    "comment after header": ("[A] # x\n", [(1, "does not end with ']'")]),
    "empty header": ("[]\n", [(1, "name is empty")]),
    "two headers in a line": ("[A] # [B]\n", [(1, "']' inside")]),
    "nothing to continue": ("[A]\n a = 1\n", [(2, "indented")]),
    "a blank line ends a value": ("[A]\na = 1\n\n  2\n", [(4, "indented")]),
    "everything at once": ("x\n[A\n[B]\n= 1\ny\n", [(1, "no '='"), (2, "end with"), (4, "name"), (5, "no '='")]),
    "CRLF counts the same": ("[A]\r\na = 1\r\nnonsense\r\n", [(3, "no '='")]),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_lines_are_reported_with_file_and_line(text: str, expected: list[tuple[int, str]]) -> None:
    _sections, findings = ini.parse(text, "some.conf")
    assert [(finding.where, finding.line) for finding in findings] == [
        ("some.conf", line) for line, _unused in expected
    ]
    for finding, (_line, words) in zip(findings, expected, strict=True):
        assert words in finding.message


def test_findings_do_not_quote_the_file() -> None:
    _sections, findings = ini.parse("[A]\nhunter2\n", "a.conf")
    assert [str(finding)[:9] for finding in findings] == ["a.conf:2:"]
    assert "hunter2" not in str(findings)


def test_order_and_comments_do_not_matter() -> None:
    one = "x = 0\n[B]\nb = 1\nm = 1\nm = 2\n[DEFAULT]\nd = 1\nc = 2\n[A]\n"
    other = "# why\nx = 0\n[A]\n[DEFAULT]\nc=2\n\n; because\nd: 1\n[B]\nm = 1\nb = 1\nm = 2\n"
    merged = merged_text(one)
    assert merged == "x = 0\n\n[DEFAULT]\nc = 2\nd = 1\n\n[A]\n\n[B]\nb = 1\nm = 1\nm = 2\n"
    assert merged_text(other) == merged
    # The order of an option's values does matter.
    assert merged_text(one.replace("m = 1\nm = 2", "m = 2\nm = 1")) != merged


def test_options_retain_their_origins() -> None:
    texts = {
        "template": "[A]\na = 1\nb = 1\n\n[B]\nc = 1\n",
        "global.conf": "[A]\na = 2\na = 3\n",
        "own.conf": "# mine\n[A]\na =\n  4\n",
    }
    merged = ini.merge(ini.parse(text, source)[0] for source, text in texts.items())
    option = merged["A"]["a"]
    assert (option.values, option.origin) == ((("", "4"),), "own.conf:3")
    assert [(earlier.values, earlier.origin) for earlier in option.replaced] == [
        ((("1",),), "template:2"),
        ((("2",), ("3",)), "global.conf:2,3"),
    ]
    assert (merged["A"]["b"].origin, merged["A"]["b"].replaced) == ("template:3", ())
    assert merged["B"]["c"].origin == "template:6"

# SPDX-License-Identifier: Apache-2.0
"""Filling in a password file."""

import base64
import re
import uuid

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import passwords

TEXTS = {
    "a new file": ("", ["a", "b"], "---\na: <>\nb: <>\n"),
    "an empty value": ("a:\nb: x\n", ["a"], "a: <>\nb: x\n"),
    "every notation of an empty value": ("a: ''\nb: ~\n", ["a", "b"], "a: <>\nb: <>\n"),
    "null": ('a: null\nb: "  "\n', ["a", "b"], "a: <>\nb: <>\n"),
    "comments and order": (
        '# top\n---\n# of b\nb:   # b\n\n# of z\nz: keep # z\na: ""  # a\n',
        ["b", "a"],
        "# top\n---\n# of b\nb: <>   # b\n\n# of z\nz: keep # z\na: <>  # a\n",
    ),
    "a missing name is added last": ("b: x\n# end\n", ["a"], "b: x\n# end\na: <>\n"),
    "no newline at the end": ("b: x", ["a"], "b: x\na: <>\n"),
    "only comments": ("# c\n", ["a", "b"], "# c\na: <>\nb: <>\n"),
    "quoted names": ("'a':\n\"b\": x\n", ["a"], "'a': <>\n\"b\": x\n"),
    "vault": ("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3133\nb: x\n", [], None),
    "nothing to do": ("a: x\nb: 0\n", [], None),
    "non-ASCII": ("# é 漢\nz: é\na:\nb: x\n", ["a"], "# é 漢\nz: é\na: <>\nb: x\n"),
}


@pytest.mark.parametrize(("text", "names", "expected"), TEXTS.values(), ids=TEXTS)
def test_missing_values_are_filled(text: str, names: list[str], expected: str | None) -> None:
    kinds = {"a": "password", "b": "password"}
    filled, done = passwords.fill(text, "f", {name: kind for name, kind in kinds.items() if name in (names or kinds)})
    assert sorted(done) == sorted(names)
    if expected is None:
        assert filled == text
        return
    pattern = re.escape(expected).replace("<>", "[A-Za-z][A-Za-z0-9]{39}")
    assert re.fullmatch(pattern, filled)
    values = yaml.safe_load(filled)
    assert len({values[name] for name in names}) == len(names)
    assert passwords.fill(filled, "f", dict.fromkeys(names, "password")) == (filled, [])


def test_kinds_of_passwords() -> None:
    kinds = {kind: kind for kind in passwords.KINDS}
    values = yaml.safe_load(passwords.fill("", "f", kinds)[0])
    assert re.fullmatch("[A-Za-z0-9]{40}", values["password"])
    assert uuid.UUID(values["uuid"]).version == 4
    assert len(base64.urlsafe_b64decode(values["fernet"])) == 32
    assert re.fullmatch("[0-9a-f]{64}", values["hmac"])


BROKEN = {
    "not YAML": ("a: [\n", {"a": "password"}, "f:2: not valid YAML"),
    "a list": ("- a\n", {"a": "password"}, "f:1: expected a mapping"),
    "in braces": ("{a: x}\n", {"b": "password"}, "f:1: expected a mapping"),
    "an unknown kind": ("", {"a": "magic"}, "'magic' is not a kind"),
    "an end of document": ("a: x\n...\n", {"b": "password"}, "f"),
}


@pytest.mark.parametrize(("text", "kinds", "words"), BROKEN.values(), ids=BROKEN)
def test_invalid_files_and_kinds_are_refused(text: str, kinds: dict[str, str], words: str) -> None:
    with pytest.raises(FindingsError) as error:
        passwords.fill(text, "f", kinds)
    assert words in str(error.value)

# SPDX-License-Identifier: Apache-2.0
"""An operator's policy over the full set of rules."""

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import policy

DEFAULTS = {
    "context_is_admin": "role:admin or is_admin:1",
    "owner": "project_id:%(project_id)s",
    "admin_or_owner": "rule:context_is_admin or rule:owner",
    "runtime:create": "rule:context_is_admin",
    "function:get": "rule:admin_or_owner",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("policy.yaml", "runtime:create: role:creator or role:admin\n"),
        ("policy.yaml", '# c\n"runtime:create": "role:creator or role:admin"\n'),
        ("policy.json", '{"runtime:create": "role:creator or role:admin"}'),
    ],
)
def test_a_partial_policy_changes_its_rules_only(name: str, text: str) -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [(name, text)])
    assert yaml.safe_load(merged) == {**DEFAULTS, "runtime:create": "role:creator or role:admin"}
    assert warnings == []


@pytest.mark.parametrize(("name", "text"), [("policy.yaml", ""), ("policy.yaml", "# c\n"), ("policy.json", "  \n")])
def test_an_empty_policy_changes_nothing(name: str, text: str) -> None:
    assert yaml.safe_load(policy.merge_texts(DEFAULTS, [(name, text)])[0]) == DEFAULTS


def test_rules_of_ones_own_may_be_referred_to() -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [("p.yaml", 'mine: role:member\n"runtime:create": rule:mine\n')])
    assert yaml.safe_load(merged)["mine"] == "role:member"
    assert warnings == []


FORGIVEN = {
    "comments and trailing commas": (
        "p.json",
        '{\n// one\n"runtime:create": "http://host/%(user_id)s", # two\n/* three\n, } */ "owner": "!", // four\n}\n',
        {"runtime:create": "http://host/%(user_id)s", "owner": "!"},
    ),
    "what looks like a comment in a string": ("p.json", '{"owner": "role:a#b,}//c"}', {"owner": "role:a#b,}//c"}),
    "JSON with tabs": ("p.json", '{\n\t"owner":\t"@"\n}', {"owner": "@"}),
    "JSON that is only a comment": ("p.json", "// nothing yet\n", {}),
    "an empty object": ("p.json", "{ }", {}),
    "a byte order mark": ("p.json", '\ufeff{"owner": "@"}', {"owner": "@"}),
    "a byte order mark in YAML": ("p.yaml", '\ufeffowner: "@"\n', {"owner": "@"}),
    "everybody": ("p.yaml", 'owner: ""\n', {"owner": ""}),
}


@pytest.mark.parametrize(("name", "text", "rules"), FORGIVEN.values(), ids=FORGIVEN)
def test_what_people_write_is_read(name: str, text: str, rules: dict[str, str]) -> None:
    assert yaml.safe_load(policy.merge_texts(DEFAULTS, [(name, text)])[0]) == {**DEFAULTS, **rules}


BROKEN = {
    "YAML": ("p.yaml", "a: b\nc: [d\ne: f\n", ["p.yaml:3: not valid YAML"]),
    "a tab": ("p.yaml", "a: b\n\tc: d\n", ["p.yaml:2: not valid YAML"]),
    "an @ without quotes": ("p.yaml", "\nowner: @\n", ["p.yaml:2: not valid YAML"]),
    "a ! without quotes": ("p.yaml", "\nowner: !\n", ["p.yaml:2: rule owner: expected a check as one string"]),
    "JSON": ("p.json", '{\n"owner": "role:a"\n"x": "@"}', ["p.json:3: not valid JSON"]),
    "JSON after a comment": ("p.json", '{\n/* a\nb */\n"owner": role\n}', ["p.json:4: not valid JSON"]),
    "a rule twice": (
        "p.json",
        '{"owner": "@",\n "owner": "!"}',
        ["p.json:2: rule owner: it is given twice, in line 1"],
    ),
    "a rule twice in YAML": ("p.yaml", "owner: '@'\nowner: '!'\n", ["p.yaml:2: rule owner: it is given twice"]),
    "a list": ("p.yaml", "- a\n", ["p.yaml:1: expected a mapping"]),
    "a list in JSON": ("p.json", "[]", ["p.json:1: expected a mapping"]),
    "types": ("p.yaml", "owner: [role:a]\nfunction:get: 1\n", ["p.yaml:1: rule owner", "p.yaml:2: rule function:get"]),
    "types in JSON": ("p.json", '{"owner":\n{"a": 1},\n"function:get": null}', ["p.json:1: rule owner", "p.json:3: "]),
    "no value": ("p.yaml", "owner:\n", ["p.yaml:1: rule owner: expected a check"]),
    "two documents": ("p.yaml", "owner: '@'\n---\nowner: '!'\n", ["p.yaml:2: not valid YAML"]),
    "unknown rule": ("p.yaml", "\nowner: rule:nobody\n", ["p.yaml:2: rule owner: it refers to rule:nobody, which"]),
    "almost a rule": (
        "p.yaml",
        "owner: rule:context_is_admn\n",
        ["p.yaml:1: rule owner: it refers to rule:context_is_admn, which there is not; did you mean context_is_admin?"],
    ),
    "a name that nothing asks for": (
        "p.yaml",
        '\n"runtime:craete": role:x\n',
        [
            "p.yaml:2: rule runtime:craete: nothing asks for a rule of this name, and no other rule refers to it; "
            "did you mean runtime:create?"
        ],
    ),
    "a circle": (
        "p.yaml",
        "owner: rule:mine\nmine: not rule:owner\n",
        ["p.yaml:1: rule owner: it refers to itself: owner → mine → owner"],
    ),
    "not a check": ("p.yaml", "owner: admin\n", ["p.yaml:1: rule owner: 'admin' is not a check"]),
    "all at once": (
        "p.yaml",
        "owner: admin\nx: (role:a\n",
        ["p.yaml:1: rule owner", "p.yaml:2: rule x: a '('", "p.yaml:2: rule x: nothing asks"],
    ),
}


@pytest.mark.parametrize(("name", "text", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_reported_with_file_and_line(name: str, text: str, expected: list[str]) -> None:
    with pytest.raises(FindingsError) as error:
        policy.merge_texts(DEFAULTS, [(name, text)])
    found = [str(finding) for finding in error.value.findings]
    assert len(found) == len(expected), found
    for finding, start in zip(found, expected, strict=True):
        assert finding.startswith(start)


LOCKOUTS = {
    "another role": ('"runtime:create": role:cloud', ["runtime:create"]),
    "nobody": ('"runtime:create": "!"', ["runtime:create"]),
    "the rule behind others": ("context_is_admin: role:cloud", ["runtime:create"]),
    "admin excluded": ('"function:get": not role:admin', ["function:get"]),
    "admin and more": ('"function:get": role:admin and role:x', ["function:get"]),
}
LET_IN = {
    "everybody": '"runtime:create": "@"',
    "members, and so the administrator": '"runtime:create": role:member',
    "nothing changed": "",
    "who can tell": '"runtime:create": "http://host/check"',
    "the owner": '"function:get": rule:owner',
    "another helper": 'boss: role:admin\n"runtime:create": rule:boss',
    "his own project": '"runtime:create": project_id:%(project_id)s and is_admin:True',
}


@pytest.mark.parametrize(("text", "names"), LOCKOUTS.values(), ids=LOCKOUTS)
def test_a_locked_out_administrator_is_a_warning(text: str, names: list[str]) -> None:
    (warning,) = policy.merge_texts(DEFAULTS, [("p.yaml", text)])[1]
    assert f"the role admin is not enough any more for {', '.join(names)};" in warning


@pytest.mark.parametrize("text", LET_IN.values(), ids=LET_IN)
def test_no_warning_while_the_administrator_gets_in(text: str) -> None:
    assert policy.merge_texts(DEFAULTS, [("p.yaml", text)])[1] == []


SOUND = [
    "",
    "@",
    "!",
    "role:admin",
    "not role:admin",
    "(role:a or role:b) and not rule:c",
    "((role:a))",
    "project_id:%(project_id)s or (is_admin:1 AND user_id:%(target.user_id)s)",
    "'Member':%(role.name)s",
    "http://server/check:%(x)s",
]


@pytest.mark.parametrize("check", SOUND)
def test_good_checks(check: str) -> None:
    assert policy.check_problems(check) == []


UNSOUND = [
    ("role:a or", "ends where a check"),
    ("or role:a", "nothing on its left"),
    ("role:a role:b", "expected 'and' or 'or'"),
    ("(role:a", "not closed"),
    ("role:a)", "')' is where none"),
    ("()", "')' is where none"),
    ("not", "ends where a check"),
    ("admin", "not a check"),
    ("   ", "ends where a check"),
    ("role:a and (role:b role:c)", "before 'role:c'"),
    ("'role:a'", "not a check"),
    ("role:", "not a check"),
    ("project_id:%project_id", "is written %(name)s"),
    ("1x:a", "neither a name nor a literal"),
]
# Those that oslo.policy takes, and which fail whenever they are asked.
UNSOUND_LATER = ["role:", "project_id:%project_id", "1x:a"]


@pytest.mark.parametrize(("check", "words"), UNSOUND)
def test_bad_checks(check: str, words: str) -> None:
    assert any(words in problem for problem in policy.check_problems(check))

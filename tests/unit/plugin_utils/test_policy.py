# SPDX-License-Identifier: Apache-2.0
"""Merging of an operator's policy over the full set of rules."""

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
def test_partial_policy_only_changes_its_rules(name: str, text: str) -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [(name, text)])
    assert yaml.safe_load(merged) == {**DEFAULTS, "runtime:create": "role:creator or role:admin"}
    assert warnings == []


@pytest.mark.parametrize(("name", "text"), [("policy.yaml", ""), ("policy.yaml", "# c\n"), ("policy.json", "  \n")])
def test_empty_policy_changes_nothing(name: str, text: str) -> None:
    assert yaml.safe_load(policy.merge_texts(DEFAULTS, [(name, text)])[0]) == DEFAULTS


def test_rules_may_refer_to_new_rules() -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [("p.yaml", 'mine: role:member\n"runtime:create": rule:mine\n')])
    assert yaml.safe_load(merged)["mine"] == "role:member"
    assert warnings == []


ACCEPTED = {
    "comments and trailing commas": (
        "p.json",
        '{\n// one\n"runtime:create": "http://host/%(user_id)s", # two\n/* three\n, } */ "owner": "!", // four\n}\n',
        {"runtime:create": "http://host/%(user_id)s", "owner": "!"},
    ),
    "comment characters in a string": ("p.json", '{"owner": "role:a#b,}//c"}', {"owner": "role:a#b,}//c"}),
    "JSON with tabs": ("p.json", '{\n\t"owner":\t"@"\n}', {"owner": "@"}),
    "JSON that is only a comment": ("p.json", "// nothing yet\n", {}),
    "an empty object": ("p.json", "{ }", {}),
    "a byte order mark": ("p.json", '\ufeff{"owner": "@"}', {"owner": "@"}),
    "a byte order mark in YAML": ("p.yaml", '\ufeffowner: "@"\n', {"owner": "@"}),
    "everybody": ("p.yaml", 'owner: ""\n', {"owner": ""}),
}


@pytest.mark.parametrize(("name", "text", "rules"), ACCEPTED.values(), ids=ACCEPTED)
def test_relaxed_syntax_is_accepted(name: str, text: str, rules: dict[str, str]) -> None:
    assert yaml.safe_load(policy.merge_texts(DEFAULTS, [(name, text)])[0]) == {**DEFAULTS, **rules}


BROKEN = {
    "YAML": ("p.yaml", "a: b\nc: [d\ne: f\n", ["p.yaml:3: not valid YAML"]),
    "a tab": ("p.yaml", "a: b\n\tc: d\n", ["p.yaml:2: not valid YAML"]),
    "an @ without quotes": ("p.yaml", "\nowner: @\n", ["p.yaml:2: not valid YAML"]),
    "a ! without quotes": ("p.yaml", "\nowner: !\n", ["p.yaml:2: rule owner: expected a check as one string"]),
    "JSON": ("p.json", '{\n"owner": "role:a"\n"x": "@"}', ["p.json:3: not valid JSON"]),
    "JSON after a comment": ("p.json", '{\n/* a\nb */\n"owner": role\n}', ["p.json:4: not valid JSON"]),
    "a duplicate rule": (
        "p.json",
        '{"owner": "@",\n "owner": "!"}',
        ["p.json:2: rule owner: duplicate of line 1"],
    ),
    "a duplicate rule in YAML": ("p.yaml", "owner: '@'\nowner: '!'\n", ["p.yaml:2: rule owner: duplicate of line 1"]),
    "a list": ("p.yaml", "- a\n", ["p.yaml:1: expected a mapping"]),
    "a list in JSON": ("p.json", "[]", ["p.json:1: expected a mapping"]),
    "types": ("p.yaml", "owner: [role:a]\nfunction:get: 1\n", ["p.yaml:1: rule owner", "p.yaml:2: rule function:get"]),
    "types in JSON": ("p.json", '{"owner":\n{"a": 1},\n"function:get": null}', ["p.json:1: rule owner", "p.json:3: "]),
    "no value": ("p.yaml", "owner:\n", ["p.yaml:1: rule owner: expected a check"]),
    "two documents": ("p.yaml", "owner: '@'\n---\nowner: '!'\n", ["p.yaml:2: not valid YAML"]),
    "unknown rule": ("p.yaml", "\nowner: rule:nobody\n", ["p.yaml:2: rule owner: it refers to rule:nobody, which"]),
    "a misspelled reference": (
        "p.yaml",
        "owner: rule:context_is_admn\n",
        [
            "p.yaml:1: rule owner: it refers to rule:context_is_admn, which does not exist; "
            "did you mean context_is_admin?"
        ],
    ),
    "an unused name": (
        "p.yaml",
        '\n"runtime:craete": role:x\n',
        ["p.yaml:2: rule runtime:craete: unknown rule, and no other rule refers to it; did you mean runtime:create?"],
    ),
    "a cycle": (
        "p.yaml",
        "owner: rule:mine\nmine: not rule:owner\n",
        ["p.yaml:1: rule owner: it refers to itself: owner → mine → owner"],
    ),
    "not a check": ("p.yaml", "owner: admin\n", ["p.yaml:1: rule owner: 'admin' is not a check"]),
    "all at once": (
        "p.yaml",
        "owner: admin\nx: (role:a\n",
        ["p.yaml:1: rule owner", "p.yaml:2: rule x: a '('", "p.yaml:2: rule x: unknown rule"],
    ),
}


@pytest.mark.parametrize(("name", "text", "expected"), BROKEN.values(), ids=BROKEN)
def test_problems_are_reported_with_file_and_line(name: str, text: str, expected: list[str]) -> None:
    with pytest.raises(FindingsError) as error:
        policy.merge_texts(DEFAULTS, [(name, text)])
    found = [str(finding) for finding in error.value.findings]
    assert len(found) == len(expected), found
    for finding, start in zip(found, expected, strict=True):
        assert finding.startswith(start)


LOCKOUTS = {
    "another role": ('"runtime:create": role:cloud', ["runtime:create"]),
    "nobody": ('"runtime:create": "!"', ["runtime:create"]),
    "the rule that others refer to": ("context_is_admin: role:cloud", ["runtime:create"]),
    "admin excluded": ('"function:get": not role:admin', ["function:get"]),
    "admin and more": ('"function:get": role:admin and role:x', ["function:get"]),
}
NO_LOCKOUTS = {
    "everybody": '"runtime:create": "@"',
    "members, which includes the administrator": '"runtime:create": role:member',
    "nothing changed": "",
    "a check that cannot be determined": '"runtime:create": "http://host/check"',
    "the owner": '"function:get": rule:owner',
    "another helper": 'boss: role:admin\n"runtime:create": rule:boss',
    "the own project": '"runtime:create": project_id:%(project_id)s and is_admin:True',
}


@pytest.mark.parametrize(("text", "names"), LOCKOUTS.values(), ids=LOCKOUTS)
def test_lockout_of_the_administrator_is_a_warning(text: str, names: list[str]) -> None:
    (warning,) = policy.merge_texts(DEFAULTS, [("p.yaml", text)])[1]
    assert f"the role admin no longer suffices for {', '.join(names)};" in warning


@pytest.mark.parametrize("text", NO_LOCKOUTS.values(), ids=NO_LOCKOUTS)
def test_no_warning_if_the_administrator_has_access(text: str) -> None:
    assert policy.merge_texts(DEFAULTS, [("p.yaml", text)])[1] == []


VALID = [
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


@pytest.mark.parametrize("check", VALID)
def test_valid_checks(check: str) -> None:
    assert policy.check_problems(check) == []


INVALID = [
    ("role:a or", "expected a check at its end"),
    ("or role:a", "nothing on its left"),
    ("role:a role:b", "expected 'and' or 'or'"),
    ("(role:a", "not closed"),
    ("role:a)", "unexpected ')'"),
    ("()", "unexpected ')'"),
    ("not", "expected a check at its end"),
    ("admin", "not a check"),
    ("   ", "expected a check at its end"),
    ("role:a and (role:b role:c)", "before 'role:c'"),
    ("'role:a'", "not a check"),
    ("role:", "not a check"),
    ("project_id:%project_id", "is written %(name)s"),
    ("1x:a", "neither a name nor a literal"),
]
# Checks that oslo.policy accepts, but that always fail.
INVALID_LATER = ["role:", "project_id:%project_id", "1x:a"]


@pytest.mark.parametrize(("check", "words"), INVALID)
def test_invalid_checks(check: str, words: str) -> None:
    assert any(words in problem for problem in policy.check_problems(check))

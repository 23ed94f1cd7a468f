# SPDX-License-Identifier: Apache-2.0
"""An operator's policy over the full set of rules."""

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils import policy
from ansible_collections.qinling.kolla.plugins.plugin_utils.findings import FindingsError

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
        ("policy.yaml", "runtime:create: role:creator\n"),
        ("policy.yaml", '# c\n"runtime:create": "role:creator"\n'),
        ("policy.json", '{"runtime:create": "role:creator"}'),
    ],
)
def test_a_partial_policy_changes_its_rules_only(name: str, text: str) -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [(name, text)])
    assert yaml.safe_load(merged) == {**DEFAULTS, "runtime:create": "role:creator"}
    assert warnings == []


@pytest.mark.parametrize(("name", "text"), [("policy.yaml", ""), ("policy.yaml", "# c\n"), ("policy.json", "  \n")])
def test_an_empty_policy_changes_nothing(name: str, text: str) -> None:
    assert yaml.safe_load(policy.merge_texts(DEFAULTS, [(name, text)])[0]) == DEFAULTS


def test_rules_of_ones_own_may_be_referred_to() -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [("p.yaml", 'mine: role:x\n"runtime:create": rule:mine\n')])
    assert yaml.safe_load(merged)["mine"] == "role:x"
    assert warnings == []


def test_a_rule_that_is_never_enforced_is_a_warning_with_its_line() -> None:
    merged, warnings = policy.merge_texts(DEFAULTS, [("p.yaml", '\n"runtime:craete": role:x\n')])
    assert "runtime:craete" in yaml.safe_load(merged)
    assert len(warnings) == 1
    assert warnings[0].startswith("p.yaml:2: rule runtime:craete is never enforced")


BROKEN = {
    "YAML": ("p.yaml", "a: b\nc: [d\ne: f\n", ["p.yaml:3: not valid YAML"]),
    "a tab": ("p.yaml", "a: b\n\tc: d\n", ["p.yaml:2: not valid YAML"]),
    "JSON": ("p.json", '{\n"owner": "role:a",\n}', ["p.json:3: not valid JSON"]),
    "a rule twice": ("p.json", '{"owner": "@",\n "owner": "!"}', ["p.json:1: the rule owner is given twice"]),
    "a list": ("p.yaml", "- a\n", ["p.yaml: expected a mapping"]),
    "types": ("p.yaml", "owner: [role:a]\nfunction:get: 1\n", ["p.yaml:1: rule owner", "p.yaml:2: rule function:get"]),
    "unknown rule": ("p.yaml", "\nowner: rule:nobody\n", ["p.yaml:2: rule owner: refers to unknown rule nobody"]),
    "not a check": ("p.yaml", "owner: admin\n", ["p.yaml:1: rule owner: 'admin' is not a check"]),
    "all at once": ("p.yaml", "owner: admin\nx: (role:a\n", ["p.yaml:1: rule owner", "p.yaml:2: rule x: a '('"]),
}


@pytest.mark.parametrize(("name", "text", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_reported_with_file_and_line(name: str, text: str, expected: list[str]) -> None:
    with pytest.raises(FindingsError) as error:
        policy.merge_texts(DEFAULTS, [(name, text)])
    found = [str(finding) for finding in error.value.findings]
    assert len(found) == len(expected)
    for finding, start in zip(found, expected, strict=True):
        assert finding.startswith(start)


@pytest.mark.parametrize(
    "check",
    [
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
    ],
)
def test_good_checks(check: str) -> None:
    assert policy.check_problems(check) == []


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("role:a or", "ends where a check"),
        ("or role:a", "nothing on its left"),
        ("role:a role:b", "expected 'and' or 'or'"),
        ("(role:a", "not closed"),
        ("role:a)", "')' is where none"),
        ("()", "')' is where none"),
        ("not", "ends where a check"),
        ("admin", "not a check"),
        ("   ", "ends where a check"),
    ],
)
def test_bad_checks(check: str, words: str) -> None:
    assert any(words in problem for problem in policy.check_problems(check))

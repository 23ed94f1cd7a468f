# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""An operator's partial policy file, merged over a service's full set of rules.

Qinling registers no defaults in its code, so a policy file that names one rule would deny everything else. The
syntax is oslo.policy's; only what can be told without its parser is checked here: types, parentheses, the shape of
each check, and that each rule referred to exists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils.findings import Finding, FindingsError

_CHECK = re.compile(r"[^:\s]+:\S+|('[^']*'|\"[^\"]*\"):\S+")


def load(text: str, source: str) -> tuple[dict[str, str], list[Finding]]:
    """Takes the text of a policy.yaml or policy.json and its name, returns the rules and what is wrong."""
    try:
        data = _load_json(text) if source.endswith(".json") else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        return {}, [Finding(source, error.lineno, f"not valid JSON: {error.msg}")]
    except yaml.YAMLError as error:
        return {}, [yaml_finding(error, source)]
    except DuplicateKeyError as error:
        return {}, [Finding(source, _line_of(text, str(error)), f"the rule {error} is given twice")]
    if data is None:
        return {}, []
    if not isinstance(data, dict):
        return {}, [Finding(source, 0, "expected a mapping of rule names to checks")]
    findings = []
    rules = {}
    for name, check in data.items():
        line = _line_of(text, str(name))
        if not isinstance(name, str) or not isinstance(check, str):
            findings.append(
                Finding(source, line, f"rule {name}: expected a string, for instance 'rule:admin_or_owner'")
            )
            continue
        rules[name] = check
        findings += [Finding(source, line, f"rule {name}: {problem}") for problem in check_problems(check)]
    return rules, findings


class DuplicateKeyError(ValueError):
    """A JSON object names one key twice."""


def _load_json(text: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _value in items]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise DuplicateKeyError(twice[0])
        return dict(items)

    return json.loads(text, object_pairs_hook=pairs) if text.strip() else None


def yaml_finding(error: yaml.YAMLError, source: str) -> Finding:
    """Takes a YAML error, returns it with file and line, and without quoting the file."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "syntax error"
    return Finding(source, mark.line + 1 if mark else 0, f"not valid YAML: {problem}")


def _line_of(text: str, name: str) -> int:
    key = re.compile(rf"""^\s*\{{?\s*["']?{re.escape(name)}["']?\s*:(\s|["']|$)""")
    return next((number for number, line in enumerate(text.splitlines(), start=1) if key.match(line)), 0)


def _tokens(check: str) -> list[str]:
    """Takes a check, returns its words and the parentheses around them; those of ``%(name)s`` belong to a word."""
    tokens = []
    for word in check.split():
        bare = word.lstrip("(")
        core = bare.rstrip(")")
        tokens += ["("] * (len(word) - len(bare)) + ([core] if core else []) + [")"] * (len(bare) - len(core))
    return tokens


def check_problems(check: str) -> list[str]:
    """Takes a check such as ``role:admin or rule:owner``, returns what is wrong with it."""
    if check in {"", "@", "!"}:
        return []
    depth = 0
    expect_check = True
    problems = []
    for word in _tokens(check):
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
            if depth < 0 or expect_check:
                problems.append("a ')' is where none may be")
                break
        elif word.lower() in {"and", "or"}:
            if expect_check:
                problems.append(f"'{word}' has nothing on its left")
            expect_check = True
        elif word.lower() == "not":
            pass
        else:
            if not expect_check:
                problems.append(f"expected 'and' or 'or' before '{word}'")
            if word not in {"@", "!"} and not _CHECK.fullmatch(word):
                problems.append(f"'{word}' is not a check; expected kind:match, for instance role:admin")
            expect_check = False
    if depth > 0:
        problems.append("a '(' is not closed")
    if expect_check and not problems:
        problems.append("it ends where a check is expected")
    return problems


def references(check: str) -> list[str]:
    """Takes a check, returns the names of the rules that it refers to."""
    return [token[5:] for token in _tokens(check) if token.startswith("rule:")]


def merge(
    defaults: Mapping[str, str], overrides: Mapping[str, str], source: str, text: str = ""
) -> tuple[dict[str, str], list[Finding], list[str]]:
    """Takes the full rules and an operator's, returns the merged rules, findings, and warnings.

    A rule that neither the defaults nor any override refers to has no effect: that is a warning, not a finding, as
    oslo.policy accepts it.
    """
    merged = {**defaults, **overrides}
    findings = [
        Finding(
            source if name in overrides else "", _line_of(text, name), f"rule {name}: refers to unknown rule {target}"
        )
        for name, check in merged.items()
        for target in references(check)
        if target not in merged
    ]
    used = {target for check in merged.values() for target in references(check)}
    warnings = [
        str(Finding(source, _line_of(text, name), f"rule {name} is never enforced; is its name right?"))
        for name in overrides
        if name not in defaults and name not in used
    ]
    return merged, findings, warnings


def render(rules: Mapping[str, str]) -> str:
    """Takes rules, returns them as YAML in their order."""
    text: str = yaml.safe_dump(dict(rules), sort_keys=False, default_flow_style=False, allow_unicode=True, width=1000)
    return text


def merge_texts(defaults: Mapping[str, str], overrides: list[tuple[str, str]]) -> tuple[str, list[str]]:
    """Takes the full rules and (name, text) of an operator's files, returns merged YAML and warnings.

    Raises FindingsError with all that is wrong.
    """
    rules = dict(defaults)
    findings: list[Finding] = []
    warnings: list[str] = []
    for source, text in overrides:
        loaded, found = load(text, source)
        rules, more, warned = merge(rules, loaded, source, text)
        findings += found + more
        warnings += warned
    if findings:
        raise FindingsError(findings)
    return render(rules), warnings

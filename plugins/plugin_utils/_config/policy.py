# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Merge an operator's partial policy file over a service's full set of rules.

Qinling registers no defaults in its code, so a policy file with a single rule would deny everything else. The language
is that of oslo.policy (its `_parser` and `_checks`), which turns an invalid check into "nobody" and a log line. This
module therefore parses all checks first and reports problems with file and line.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError

_STRING = "tag:yaml.org,2002:str"
# What oslo.policy substitutes in a match: a value of the target, or a literal percent sign.
_SUBSTITUTION = re.compile(r"%(\([^()]+\)s|%)")
_JSON_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|#[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.S)
_NOT_A_STRING = (
    "expected a check as one string in quotes, such as 'rule:admin_or_owner'; '@' allows everybody, '!' nobody"
)
# The role of Keystone's administrator, and the roles that it implies.
_ADMIN_ROLES = frozenset({"admin", "manager", "member", "reader"})


@dataclass(frozen=True)
class Rule:
    """A rule of a file."""

    name: str
    check: str
    line: int


@dataclass(frozen=True)
class Check:
    """A check such as ``role:admin``, or a combination; `kind` is "and", "or", "not", "true", "false" or "is"."""

    kind: str
    parts: tuple[Check, ...] = ()
    left: str = ""
    match: str = ""


@dataclass
class Merged:
    """The effective rules, the findings about the operator's rules, and warnings about probable mistakes."""

    rules: dict[str, str]
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class CheckError(ValueError):
    """A check that oslo.policy does not understand."""


def load(text: str, source: str) -> tuple[list[Rule], list[Finding]]:
    """Return the rules of a policy.yaml or policy.json, and findings about its syntax."""
    text = text.removeprefix("\ufeff")
    try:
        entries = _load_json(text) if source.endswith(".json") else _load_yaml(text)
    except json.JSONDecodeError as error:
        return [], [Finding(source, error.lineno, f"not valid JSON: {error.msg}")]
    except yaml.YAMLError as error:
        return [], [yaml_finding(error, source)]
    except TypeError:
        return [], [Finding(source, 1, "expected a mapping of rule names to checks")]
    rules: dict[str, Rule] = {}
    findings = []
    for name, check, line in entries:
        if check is None:
            problems = [_NOT_A_STRING]
        elif name in rules:
            problems = [f"duplicate of line {rules[name].line}; remove one"]
        else:
            rules[name] = Rule(name, check, line)
            problems = check_problems(check)
        findings += [Finding(source, line, f"rule {name}: {problem}") for problem in problems]
    return list(rules.values()), findings


def _load_yaml(text: str) -> list[tuple[str, str | None, int]]:
    """Return the names, checks (None if not a string) and lines of a YAML text. Raise TypeError if not a mapping."""
    node = yaml.compose(text, yaml.SafeLoader)
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise TypeError(node.tag)
    return [
        (
            str(key.value),
            str(value.value) if isinstance(value, yaml.ScalarNode) and key.tag == value.tag == _STRING else None,
            key.start_mark.line + 1,
        )
        for key, value in node.value
    ]


def _load_json(text: str) -> list[tuple[str, str | None, int]]:
    """Return the same as `_load_yaml` of a JSON text, which may have comments and trailing commas."""
    # Blanks replace comments and commas, so that positions do not change.
    strict = _JSON_TOKEN.sub(
        lambda token: token[0] if token[0].startswith('"') else re.sub(r"[^\n]", " ", token[0]), text
    )
    # Again, as there may have been a comment between a comma and the closing bracket.
    strict = _JSON_TOKEN.sub(lambda token: " " if token[0] == "," else token[0], strict)
    if not strict.strip():
        return []
    if not isinstance(json.loads(strict), dict):
        raise TypeError
    found: list[tuple[str, str | None, int]] = []
    position = strict.index("{") + 1
    while strict[position:].lstrip()[:1] == '"':
        start = strict.index('"', position)
        name, position = json.JSONDecoder().raw_decode(strict, start)
        position = strict.index(":", position) + 1
        position += len(strict[position:]) - len(strict[position:].lstrip())
        value, position = json.JSONDecoder().raw_decode(strict, position)
        found.append((name, value if isinstance(value, str) else None, strict.count("\n", 0, start) + 1))
        comma = re.compile(r"\s*,?").match(strict, position)
        position = comma.end() if comma else position
    return found


def yaml_finding(error: yaml.YAMLError, source: str) -> Finding:
    """Return a YAML error as a finding with file and line, without quoting the file."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "syntax error"
    hints = {"'\\t'": "indent with spaces, not tabs", "'@'": "put it in quotes", "'%'": "put it in quotes"}
    hint = next((f"; {hint}" for sign, hint in hints.items() if sign in problem), "")
    return Finding(source, mark.line + 1 if mark else 0, f"not valid YAML: {problem}{hint}")


def _tokens(check: str) -> list[str]:
    """Return the words and parentheses of a check; the parentheses of ``%(name)s`` are part of a word."""
    tokens = []
    for word in check.split():
        bare = word.lstrip("(")
        core = bare.rstrip(")")
        tokens += ["("] * (len(word) - len(bare)) + ([core] if core else []) + [")"] * (len(bare) - len(core))
    return tokens


def parse(check: str) -> Check:
    """Return a check as a tree, in which "and" takes precedence over "or". Raise CheckError if it is invalid."""
    if not check:
        return Check("true")
    tokens = _tokens(check)
    tree = _parse_any(tokens)
    if tokens:
        raise CheckError("unexpected ')'" if tokens[0] == ")" else f"expected 'and' or 'or' before '{tokens[0]}'")
    return tree


def _parse_any(tokens: list[str]) -> Check:
    parts = [_parse_all(tokens)]
    while tokens and tokens[0].lower() == "or":
        tokens.pop(0)
        parts.append(_parse_all(tokens))
    return parts[0] if len(parts) == 1 else Check("or", tuple(parts))


def _parse_all(tokens: list[str]) -> Check:
    parts = [_parse_one(tokens)]
    while tokens and tokens[0].lower() == "and":
        tokens.pop(0)
        parts.append(_parse_one(tokens))
    return parts[0] if len(parts) == 1 else Check("and", tuple(parts))


def _parse_one(tokens: list[str]) -> Check:
    if not tokens:
        raise CheckError("expected a check at its end")
    word = tokens.pop(0)
    if word.lower() in {"and", "or"}:
        raise CheckError(f"'{word}' has nothing on its left")
    if word.lower() == "not":
        return Check("not", (_parse_one(tokens),))
    if word == "(":
        inner = _parse_any(tokens)
        if not tokens:
            raise CheckError("a '(' is not closed")
        if tokens[0] != ")":
            raise CheckError(f"expected 'and' or 'or' before '{tokens[0]}'")
        tokens.pop(0)
        return inner
    if word == ")":
        raise CheckError("unexpected ')'")
    return _parse_check(word)


def _parse_check(word: str) -> Check:
    if word in {"@", "!"}:
        return Check("true" if word == "@" else "false")
    left, colon, match = word.partition(":")
    if not (left and colon and match) or (len(word) > 1 and word[0] == word[-1] and word[0] in "'\""):
        raise CheckError(f"'{word}' is not a check; expected kind:match, for instance role:admin")
    try:
        # oslo.policy evaluates the left side, and fails if it is not an expression.
        ast.parse(left, mode="eval")
    except SyntaxError as error:
        raise CheckError(f"'{word}': '{left}' is neither a name nor a literal") from error
    if "%" in _SUBSTITUTION.sub("", match):
        raise CheckError(f"'{word}': a value of the target is written %(name)s")
    return Check("is", (), left, match)


def check_problems(check: str) -> list[str]:
    """Return the problems of a check such as ``role:admin or rule:owner``."""
    try:
        parse(check)
    except CheckError as error:
        return [str(error)]
    return []


def _leaves(tree: Check) -> Iterator[Check]:
    if tree.parts:
        for part in tree.parts:
            yield from _leaves(part)
    else:
        yield tree


def references(check: str) -> list[str]:
    """Return the names of the rules that a check refers to, an empty list if the check is invalid."""
    if check_problems(check):
        return []
    return [leaf.match for leaf in _leaves(parse(check)) if leaf.left == "rule"]


def cycles(rules: Mapping[str, str]) -> list[list[str]]:
    """Return the cycles in which rules refer to each other, each once, from its first rule."""
    found: dict[frozenset[str], list[str]] = {}

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            cycle = path[path.index(name) :]
            found.setdefault(frozenset(cycle), cycle)
        elif name in rules:
            for target in references(rules[name]):
                walk(target, [*path, name])

    for name in rules:
        walk(name, [])
    return list(found.values())


def holds_for_administrator(name: str, rules: Mapping[str, str]) -> bool | None:
    """Return whether a rule allows Keystone's administrator, or None if this cannot be determined.

    The target is the one that Qinling passes: the caller's own project_id and user_id.
    """
    return _holds(parse(rules[name]), rules, (name,))


def _holds(tree: Check, rules: Mapping[str, str], path: tuple[str, ...]) -> bool | None:
    if tree.kind in {"true", "false"}:
        return tree.kind == "true"
    if tree.kind == "not":
        inner = _holds(tree.parts[0], rules, path)
        return None if inner is None else not inner
    if tree.parts:
        results = [_holds(part, rules, path) for part in tree.parts]
        decisive = tree.kind == "or"
        return decisive if decisive in results else None if None in results else not decisive
    if tree.left == "rule":
        if tree.match in path or tree.match not in rules:
            return False
        return _holds(parse(rules[tree.match]), rules, (*path, tree.match))
    if tree.left == "role" and "%" not in tree.match:
        return tree.match.lower() in _ADMIN_ROLES
    if tree.left == "is_admin" and "%" not in tree.match:
        return tree.match == "True"
    return True if tree.match == f"%({tree.left})s" else None


def merge(defaults: Mapping[str, str], given: Iterable[Rule], source: str) -> Merged:
    """Return the full rules merged with the operator's from the file `source`, with all findings and warnings."""
    rules = list(given)
    lines = {rule.name: rule.line for rule in rules}
    result = Merged({**defaults, **{rule.name: rule.check for rule in rules}})
    used = {target for check in result.rules.values() for target in references(check)}
    for rule in rules:
        for target in references(rule.check):
            if target not in result.rules:
                problem = f"it refers to rule:{target}, which does not exist{_suggestion(target, result.rules)}"
                result.findings.append(Finding(source, rule.line, f"rule {rule.name}: {problem}"))
        if rule.name not in defaults and rule.name not in used:
            hint = _suggestion(rule.name, defaults) or "; remove it, or correct its name"
            problem = f"unknown rule, and no other rule refers to it{hint}"
            result.findings.append(Finding(source, rule.line, f"rule {rule.name}: {problem}"))
    for cycle in cycles(result.rules):
        name = next((name for name in cycle if name in lines), cycle[0])
        path = " → ".join([*cycle, cycle[0]])
        result.findings.append(Finding(source, lines.get(name, 0), f"rule {name}: it refers to itself: {path}"))
    if not result.findings and not any(check_problems(rule.check) for rule in rules):
        result.warnings += _lockouts(defaults, result.rules, source)
    return result


def _suggestion(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), 2, 0.75)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def _lockouts(defaults: Mapping[str, str], rules: Mapping[str, str], source: str) -> list[str]:
    """Return a warning if the merged rules deny the administrator what the defaults allow."""
    helpers = {target for check in defaults.values() for target in references(check)} | {"default"}
    lost = [
        name
        for name in defaults
        if name not in helpers
        and holds_for_administrator(name, defaults)
        and holds_for_administrator(name, rules) is False
    ]
    if not lost:
        return []
    return [
        f"{source}: with these rules, the role admin no longer suffices for {', '.join(lost)}; "
        "if this is not intended, add 'or rule:context_is_admin' (or 'or role:admin' to context_is_admin)"
    ]


def render(rules: Mapping[str, str]) -> str:
    """Return rules as YAML in their order."""
    text: str = yaml.safe_dump(dict(rules), sort_keys=False, default_flow_style=False, allow_unicode=True, width=1000)
    return text


def merge_texts(defaults: Mapping[str, str], overrides: Iterable[tuple[str, str]]) -> tuple[str, list[str]]:
    """Return the full rules merged with the operator's files (name and text) as YAML, and warnings.

    Raise FindingsError with all findings.
    """
    rules = dict(defaults)
    findings: list[Finding] = []
    warnings: list[str] = []
    for source, text in overrides:
        loaded, found = load(text, source)
        merged = merge(rules, loaded, source)
        rules = merged.rules
        findings += found + merged.findings
        warnings += merged.warnings
    if findings:
        raise FindingsError(sorted(findings, key=lambda finding: (finding.where, finding.line)))
    return render(rules), warnings

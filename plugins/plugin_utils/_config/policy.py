# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""An operator's partial policy file, merged over a service's full set of rules.

Qinling registers no defaults in its code, so a policy file that names one rule would deny everything else. The
language is oslo.policy's (its `_parser` and `_checks`), which turns what it does not understand into "nobody" and a
line in a log; so everything is read here first, and what is wrong is told with file and line.
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
# What oslo.policy puts into a match: a value of the target, or a literal per cent sign.
_SUBSTITUTION = re.compile(r"%(\([^()]+\)s|%)")
_JSON_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|#[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.S)
_NO_STRING = "expected a check as one string in quotes, such as 'rule:admin_or_owner'; '@' is everybody, '!' nobody"
# Keystone's administrator, with the roles that its role implies.
_ADMIN_ROLES = frozenset({"admin", "manager", "member", "reader"})


@dataclass(frozen=True)
class Rule:
    """A rule as a file has it."""

    name: str
    check: str
    line: int


@dataclass(frozen=True)
class Check:
    """A check such as ``role:admin``, or what joins some: "and", "or", "not", "true", "false", "is"."""

    kind: str
    parts: tuple[Check, ...] = ()
    left: str = ""
    match: str = ""


@dataclass
class Merged:
    """All rules that are to be in force, what is wrong with the operator's, and what is probably not meant."""

    rules: dict[str, str]
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class CheckError(ValueError):
    """A check that oslo.policy does not understand."""


def load(text: str, source: str) -> tuple[list[Rule], list[Finding]]:
    """Takes the text of a policy.yaml or policy.json and its name, returns the rules and what is wrong."""
    text = text.removeprefix("\ufeff")
    try:
        given = _load_json(text) if source.endswith(".json") else _load_yaml(text)
    except json.JSONDecodeError as error:
        return [], [Finding(source, error.lineno, f"not valid JSON: {error.msg}")]
    except yaml.YAMLError as error:
        return [], [yaml_finding(error, source)]
    except TypeError:
        return [], [Finding(source, 1, "expected a mapping of rule names to checks")]
    rules: dict[str, Rule] = {}
    findings = []
    for name, check, line in given:
        if check is None:
            problems = [_NO_STRING]
        elif name in rules:
            problems = [f"it is given twice, in line {rules[name].line} as well; remove one"]
        else:
            rules[name] = Rule(name, check, line)
            problems = check_problems(check)
        findings += [Finding(source, line, f"rule {name}: {problem}") for problem in problems]
    return list(rules.values()), findings


def _load_yaml(text: str) -> list[tuple[str, str | None, int]]:
    """Takes YAML, returns names, checks (none: no string) and lines; raises TypeError if it is no mapping."""
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
    """Takes JSON, also with comments and trailing commas; returns and raises as `_load_yaml` does."""
    # What is taken out leaves its room, so that lines stay what they are.
    strict = _JSON_TOKEN.sub(
        lambda token: token[0] if token[0].startswith('"') else re.sub(r"[^\n]", " ", token[0]), text
    )
    # A comment may stand between a comma and the bracket after it.
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
    """Takes a YAML error, returns it with file and line, and without quoting the file."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "syntax error"
    hints = {"'\\t'": "indent with spaces, not tabs", "'@'": "put it in quotes", "'%'": "put it in quotes"}
    hint = next((f"; {hint}" for sign, hint in hints.items() if sign in problem), "")
    return Finding(source, mark.line + 1 if mark else 0, f"not valid YAML: {problem}{hint}")


def _tokens(check: str) -> list[str]:
    """Takes a check, returns its words and the parentheses around them; those of ``%(name)s`` belong to a word."""
    tokens = []
    for word in check.split():
        bare = word.lstrip("(")
        core = bare.rstrip(")")
        tokens += ["("] * (len(word) - len(bare)) + ([core] if core else []) + [")"] * (len(bare) - len(core))
    return tokens


def parse(check: str) -> Check:
    """Takes a check, returns it as a tree, in which "and" binds closer than "or"; raises CheckError."""
    if not check:
        return Check("true")
    tokens = _tokens(check)
    tree = _parse_any(tokens)
    if tokens:
        raise CheckError(
            "a ')' is where none may be" if tokens[0] == ")" else f"expected 'and' or 'or' before '{tokens[0]}'"
        )
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
        raise CheckError("it ends where a check is expected")
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
        raise CheckError("a ')' is where none may be")
    return _parse_check(word)


def _parse_check(word: str) -> Check:
    if word in {"@", "!"}:
        return Check("true" if word == "@" else "false")
    left, colon, match = word.partition(":")
    if not (left and colon and match) or (len(word) > 1 and word[0] == word[-1] and word[0] in "'\""):
        raise CheckError(f"'{word}' is not a check; expected kind:match, for instance role:admin")
    try:
        # oslo.policy evaluates what is left of the colon, and falls over what is no expression.
        ast.parse(left, mode="eval")
    except SyntaxError as error:
        raise CheckError(f"'{word}': '{left}' is neither a name nor a literal") from error
    if "%" in _SUBSTITUTION.sub("", match):
        raise CheckError(f"'{word}': a value of the target is written %(name)s")
    return Check("is", (), left, match)


def check_problems(check: str) -> list[str]:
    """Takes a check such as ``role:admin or rule:owner``, returns what is wrong with it."""
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
    """Takes a check, returns the names of the rules that it refers to; none if it can not be read."""
    if check_problems(check):
        return []
    return [leaf.match for leaf in _leaves(parse(check)) if leaf.left == "rule"]


def circles(rules: Mapping[str, str]) -> list[list[str]]:
    """Takes rules, returns the circles in which they refer to each other, each once, from its first rule."""
    found: dict[frozenset[str], list[str]] = {}

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            circle = way[way.index(name) :]
            found.setdefault(frozenset(circle), circle)
        elif name in rules:
            for target in references(rules[name]):
                walk(target, [*way, name])

    for name in rules:
        walk(name, [])
    return list(found.values())


def holds_for_administrator(name: str, rules: Mapping[str, str]) -> bool | None:
    """Takes a rule's name and all rules, returns whether Keystone's administrator passes; none if that can not be told.

    The target is what Qinling makes of the caller: its own project_id and user_id.
    """
    return _holds(parse(rules[name]), rules, (name,))


def _holds(tree: Check, rules: Mapping[str, str], way: tuple[str, ...]) -> bool | None:
    if tree.kind in {"true", "false"}:
        return tree.kind == "true"
    if tree.kind == "not":
        inner = _holds(tree.parts[0], rules, way)
        return None if inner is None else not inner
    if tree.parts:
        results = [_holds(part, rules, way) for part in tree.parts]
        decisive = tree.kind == "or"
        return decisive if decisive in results else None if None in results else not decisive
    if tree.left == "rule":
        if tree.match in way or tree.match not in rules:
            return False
        return _holds(parse(rules[tree.match]), rules, (*way, tree.match))
    if tree.left == "role" and "%" not in tree.match:
        return tree.match.lower() in _ADMIN_ROLES
    if tree.left == "is_admin" and "%" not in tree.match:
        return tree.match == "True"
    return True if tree.match == f"%({tree.left})s" else None


def merge(defaults: Mapping[str, str], given: Iterable[Rule], source: str) -> Merged:
    """Takes the full rules, an operator's and the name of his file; returns them merged, with all that is wrong."""
    rules = list(given)
    lines = {rule.name: rule.line for rule in rules}
    result = Merged({**defaults, **{rule.name: rule.check for rule in rules}})
    used = {target for check in result.rules.values() for target in references(check)}
    for rule in rules:
        for target in references(rule.check):
            if target not in result.rules:
                problem = f"it refers to rule:{target}, which there is not{_near(target, result.rules)}"
                result.findings.append(Finding(source, rule.line, f"rule {rule.name}: {problem}"))
        if rule.name not in defaults and rule.name not in used:
            hint = _near(rule.name, defaults) or "; remove it, or write it right"
            problem = f"nothing asks for a rule of this name, and no other rule refers to it{hint}"
            result.findings.append(Finding(source, rule.line, f"rule {rule.name}: {problem}"))
    for circle in circles(result.rules):
        name = next((name for name in circle if name in lines), circle[0])
        way = " → ".join([*circle, circle[0]])
        result.findings.append(Finding(source, lines.get(name, 0), f"rule {name}: it refers to itself: {way}"))
    if not result.findings and not any(check_problems(rule.check) for rule in rules):
        result.warnings += _lockouts(defaults, result.rules, source)
    return result


def _near(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), 2, 0.75)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def _lockouts(defaults: Mapping[str, str], rules: Mapping[str, str], source: str) -> list[str]:
    """Takes the rules before and after, returns a warning if they shut the administrator out of what he may do."""
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
        f"{source}: with these rules the role admin is not enough any more for {', '.join(lost)}; "
        "if that is not meant, add 'or rule:context_is_admin' (or 'or role:admin' to context_is_admin)"
    ]


def render(rules: Mapping[str, str]) -> str:
    """Takes rules, returns them as YAML in their order."""
    text: str = yaml.safe_dump(dict(rules), sort_keys=False, default_flow_style=False, allow_unicode=True, width=1000)
    return text


def merge_texts(defaults: Mapping[str, str], overrides: Iterable[tuple[str, str]]) -> tuple[str, list[str]]:
    """Takes the full rules and (name, text) of an operator's files, returns merged YAML and warnings.

    Raises FindingsError with all that is wrong.
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

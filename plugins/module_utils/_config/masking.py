# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Mask secrets in configuration files, diffs and logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "***"

_NAME = (
    r"[\w.-]*(?:pass|pwd|secret|token|credential|transport_url|connection(?!s)|private|passphrase|fernet|cookie)[\w.-]*"
)
_KEY_NAME = r"(?:[\w.-]*[_.-])?keys?(?:_?\d+)?"
# Names that match the patterns above but contain a location, a duration or a size, not a secret.
_HARMLESS = re.compile(r"(?:file|path|dir|directory|time|timeout|ttl|interval|size|retries|lifetime|expiration)$", re.I)
_OPTION = re.compile(rf"""^(\s*(?:-\s+)?["']?({_NAME}|{_KEY_NAME})["']?\s*[:=]\s*)(.*)$""", re.I)
_INLINE = re.compile(
    rf"""(["']?\b({_NAME}|{_KEY_NAME})["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}}\]]+)""", re.I
)
_URL = re.compile(r"(://[^\s/:@]*:)[^\s/]+@")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


def is_secret_name(name: str) -> bool:
    """Return whether the value of an option or variable with this name is secret."""
    return bool(re.fullmatch(f"{_NAME}|{_KEY_NAME}", name, re.I)) and not _HARMLESS.search(name)


def literals(secrets: Iterable[str]) -> list[str]:
    """Return the spellings in which a file may contain the secret values, the longest first."""
    found = set()
    for secret in secrets:
        lines = [line.strip() for line in secret.splitlines()]
        parts = [line for line in lines if len(line) >= 8] if len(lines) > 1 else lines
        for part in parts:
            found |= {part, quote(part, safe=""), quote(part), json.dumps(part)[1:-1]}
    return sorted(found - {""}, key=lambda text: (-len(text), text))


def hide(text: str, secrets: list[str]) -> str:
    """Mask secret values in a text; `secrets` is the result of `literals`."""
    return re.sub("|".join(re.escape(secret) for secret in secrets), MASK, text) if secrets else text


def mask_lines(text: str, secrets: list[str]) -> list[str]:
    """Return the lines of a text with all secrets masked; `secrets` is the result of `literals`."""
    masked = []
    inside_pem = False
    hidden_indent = -1  # Indentation of the secret option whose value continues on the following lines.
    hidden_list = False
    for line in text.split("\n"):
        body = line.lstrip()
        indent = len(line) - len(body)
        if inside_pem:
            inside_pem = not _PEM_END.search(line)
            masked.append(MASK)
            continue
        if _PEM_BEGIN.search(line):
            inside_pem = not _PEM_END.search(line)
            masked.append(MASK)
            continue
        if hidden_indent >= 0 and body and (indent > hidden_indent or (hidden_list and body.startswith("-"))):
            masked.append(" " * indent + MASK)
            continue
        if body:
            hidden_indent = -1
        option = _OPTION.match(line)
        if option and not _HARMLESS.search(option.group(2)):
            start, _name, value = option.groups()
            hidden_indent = indent
            hidden_list = not value.strip()
            opens = value.strip() in {"", "{", "[", "|", ">", "|-", ">-"}
            masked.append(start + value if opens else start + MASK + ("," if value.rstrip().endswith(",") else ""))
            continue
        masked.append(mask_line(line, secrets))
    return masked


def mask_line(line: str, secrets: list[str]) -> str:
    """Mask secrets in a line of any text, such as a log; `secrets` is the result of `literals`."""
    shown = hide(line, secrets)
    shown = _INLINE.sub(lambda m: m.group(0) if _HARMLESS.search(m.group(2)) else m.group(1) + MASK, shown)
    return _URL.sub(rf"\g<1>{MASK}@", shown)


def mask_pair(before: str, after: str, secrets: Iterable[str]) -> tuple[str, str]:
    """Mask the secret values in a file's text before and after a change.

    A line whose secret has changed is marked with (before) and (after), so that a diff shows the change.
    """
    spellings = literals(secrets)
    raw = [before.split("\n"), after.split("\n")]
    masked = [mask_lines(before, spellings), mask_lines(after, spellings)]
    for own, other in ((0, 1), (1, 0)):
        masked[own] = _mask_alike(masked[own], masked[other])
    shown = []
    for own, other, word in ((0, 1, "before"), (1, 0, "after")):
        raw_other, masked_other = set(raw[other]), set(masked[other])
        shown.append(
            "\n".join(
                f"{mask} ({word})"
                if mask not in (line, "") and line not in raw_other and mask in masked_other
                else mask
                for line, mask in zip(raw[own], masked[own], strict=True)
            )
        )
    if before != after and shown[0] == shown[1]:
        shown[1] += f"\n{MASK} (secrets have changed places)"
    return shown[0], shown[1]


def _mask_alike(lines: list[str], other: list[str]) -> list[str]:
    """Mask the parts of lines that the `other` side of a diff masks.

    The value of a rotated secret is known for one side only, and the option's name may not identify it as secret.
    """
    shapes = {line for line in other if MASK in line and line.replace(MASK, "").strip(" \t\"',")}
    patterns = [(re.compile(re.escape(shape).replace(re.escape(MASK), ".*")), shape) for shape in sorted(shapes)]
    return [next((shape for pattern, shape in patterns if pattern.fullmatch(line)), line) for line in lines]

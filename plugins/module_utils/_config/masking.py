# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Unified view of a configuration file before and after, without its secrets."""

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
# Names that only look like those above: they tell where or how long, not what.
_HARMLESS = re.compile(r"(?:file|path|dir|directory|time|timeout|ttl|interval|size|retries|lifetime|expiration)$", re.I)
_OPTION = re.compile(rf"""^(\s*(?:-\s+)?["']?({_NAME}|{_KEY_NAME})["']?\s*[:=]\s*)(.*)$""", re.I)
_INLINE = re.compile(
    rf"""(["']?\b({_NAME}|{_KEY_NAME})["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}}\]]+)""", re.I
)
_URL = re.compile(r"(://[^\s/:@]*:)[^\s/]+@")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


def is_secret_name(name: str) -> bool:
    """Takes the name of an option or variable, returns whether its value is to be hidden."""
    return bool(re.fullmatch(f"{_NAME}|{_KEY_NAME}", name, re.I)) and not _HARMLESS.search(name)


def literals(secrets: Iterable[str]) -> list[str]:
    """Takes secret values, returns the spellings in which a file may hold them, the longest first."""
    found = set()
    for secret in secrets:
        lines = [line.strip() for line in secret.splitlines()]
        parts = [line for line in lines if len(line) >= 8] if len(lines) > 1 else lines
        for part in parts:
            found |= {part, quote(part, safe=""), quote(part), json.dumps(part)[1:-1]}
    return sorted(found - {""}, key=lambda text: (-len(text), text))


def hide(text: str, secrets: list[str]) -> str:
    """Takes a text and the output of `literals`, returns the text without any of these values."""
    return re.sub("|".join(re.escape(secret) for secret in secrets), MASK, text) if secrets else text


def mask_lines(text: str, secrets: list[str]) -> list[str]:
    """Takes a text and the output of `literals`, returns its lines with everything secret replaced."""
    masked = []
    inside_pem = False
    hidden_indent = -1  # Indentation of the option whose value goes on in the lines below it.
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
    """Take a line of any text, such as a log, and the output of `literals`; return it without what is secret."""
    shown = hide(line, secrets)
    shown = _INLINE.sub(lambda m: m.group(0) if _HARMLESS.search(m.group(2)) else m.group(1) + MASK, shown)
    return _URL.sub(rf"\g<1>{MASK}@", shown)


def mask_pair(before: str, after: str, secrets: Iterable[str]) -> tuple[str, str]:
    """Takes a file's text before and after, and secret values; returns both texts fit to be shown.

    A line whose secret has changed differs in what is shown, without either value.
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
    """Takes masked lines and the other side's; hides what stands where the other side hides something.

    A rotated secret is known by value on one side only, and its option's name may not tell.
    """
    shapes = {line for line in other if MASK in line and line.replace(MASK, "").strip(" \t\"',")}
    patterns = [(re.compile(re.escape(shape).replace(re.escape(MASK), ".*")), shape) for shape in sorted(shapes)]
    return [next((shape for pattern, shape in patterns if pattern.fullmatch(line)), line) for line in lines]

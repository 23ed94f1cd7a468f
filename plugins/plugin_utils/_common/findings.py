# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Findings about an operator's input, gathered so that all are reported at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A problem: where it is (a file or a variable), its line (0 if unknown), and a message with what to do."""

    where: str
    line: int
    message: str

    def __str__(self) -> str:
        location = f"{self.where}:{self.line}" if self.line else self.where
        return f"{location}: {self.message}" if location else self.message


class FindingsError(Exception):
    """All findings of a step that cannot continue."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__(report(self.findings))


def report(findings: Iterable[Finding]) -> str:
    """Return the findings as text, one line each, in order and without duplicates."""
    return "\n".join(f"- {finding}" for finding in dict.fromkeys(findings))


def missing_package(name: str, error: ImportError) -> str:
    """Return the message about a Python package that an action needs."""
    return (
        f'the Python package "{name}" is missing in the environment of Ansible ({sys.executable}: {error}); '
        "install it there"
    )

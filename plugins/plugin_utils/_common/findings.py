# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an operator's input, gathered so that all of it is reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong: where it is (a file or a variable), in which line if known, and what to do."""

    where: str
    line: int
    message: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{place}: {self.message}" if place else self.message


class FindingsError(Exception):
    """Carries every finding of a step that can not go on."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__(report(self.findings))


def report(findings: Iterable[Finding]) -> str:
    """Takes findings, returns one readable text, one line a finding, in the order given and without repetition."""
    return "\n".join(f"- {finding}" for finding in dict.fromkeys(findings))

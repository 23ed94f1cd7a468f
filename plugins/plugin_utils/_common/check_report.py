# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What the playbook `check` says: certificates told by their days, one table of all hosts, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._plan.check_results import OK, WARNING, WRONG, Row
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates

COLUMNS = ("host", "service", "look", "verdict", "detail")
_TITLES = ("HOST", "SERVICE", "LOOKED AT", "VERDICT", "DETAIL")
_NOT_LOOKED = {"service": "-", "look": "host", "verdict": WRONG, "detail": "was not looked at: see above why"}


def certificate_row(found: Mapping[str, str], now: datetime) -> Row:
    """Takes a row with a `certificate` and `warn_days`, and the time; returns it with what the certificate says."""
    row = {name: found[name] for name in ("service", "look", "verdict", "detail")}
    try:
        ends = [certificate.not_valid_after_utc for certificate in certificates.load_all(found["certificate"])]
        end = min(ends)
    except ValueError:
        return {**row, "verdict": WRONG, "detail": f"{found['detail']} holds no certificate that can be read"}
    days = (end - now).days
    if end <= now:
        return {**row, "verdict": WRONG, "detail": f"ended on {certificates.day(end)}; renew it and run reconfigure"}
    detail = f"{days} days left, until {certificates.day(end)}"
    if days < int(found["warn_days"]):
        return {**row, "verdict": WARNING, "detail": f"{detail}; renew it and run reconfigure"}
    return {**row, "verdict": OK, "detail": detail}


def told(rows: Iterable[Mapping[str, str]], now: datetime) -> list[Row]:
    """Takes the rows of a host, returns them with certificates told."""
    return [certificate_row(row, now) if "certificate" in row else dict(row) for row in rows]


def gather(hosts: Iterable[str], hostvars: Mapping[str, Any], name: str) -> list[Row]:
    """Takes hosts, their variables and the variable that holds a host's result, returns the rows of all, host first.

    What is about one service stands together.
    """
    found = []
    for host in hosts:
        result = hostvars[host].get(name)
        rows = [_NOT_LOOKED] if result is None else result.get("rows") or []
        services = list(dict.fromkeys(row["service"] for row in rows))
        found += [{"host": host, **row} for row in sorted(rows, key=lambda row: services.index(row["service"]))]
    return found


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Takes rows, returns a table of them."""
    lines = [_TITLES, *(tuple(row[column] for column in COLUMNS) for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def summary(rows: Sequence[Mapping[str, str]]) -> str:
    """Takes rows, returns what is wrong in them, or nothing."""
    found = [row for row in rows if row["verdict"] == WRONG]
    wrong = [f"- {row['host']}, {row['service']}, {row['look']}: {row['detail']}" for row in found]
    return "\n".join([f"check found {len(wrong)} of {len(rows)} things wrong:", *wrong]) if wrong else ""

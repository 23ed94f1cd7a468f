# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""The report of the playbook `check`: the expiry of certificates, one table of all hosts, and a summary of failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._plan.check_results import FAILED, OK, WARNING, Row
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates

COLUMNS = ("host", "service", "check", "result", "detail")
_TITLES = ("HOST", "SERVICE", "CHECK", "RESULT", "DETAIL")
_NOT_CHECKED = {"service": "-", "check": "host", "result": FAILED, "detail": "not checked; see the errors above"}


def certificate_row(found: Mapping[str, str], now: datetime) -> Row:
    """Return a row with `certificate` and `warn_days` as a row with the result of the certificate's expiry."""
    row = {name: found[name] for name in ("service", "check", "result", "detail")}
    if certificates.MISSING_LIBRARY:
        return {**row, "result": FAILED, "detail": certificates.MISSING_LIBRARY}
    try:
        ends = [certificate.not_valid_after_utc for certificate in certificates.load_all(found["certificate"])]
        end = min(ends)
    except ValueError:
        return {**row, "result": FAILED, "detail": f"{found['detail']} contains no valid certificate"}
    days = (end - now).days
    if end <= now:
        return {**row, "result": FAILED, "detail": f"expired on {certificates.day(end)}; renew it and run reconfigure"}
    detail = f"{days} days left, until {certificates.day(end)}"
    if days < int(found["warn_days"]):
        return {**row, "result": WARNING, "detail": f"{detail}; renew it and run reconfigure"}
    return {**row, "result": OK, "detail": detail}


def with_expiry(rows: Iterable[Mapping[str, str]], now: datetime) -> list[Row]:
    """Return the rows of a host with the certificates in them evaluated."""
    return [certificate_row(row, now) if "certificate" in row else dict(row) for row in rows]


def gather(hosts: Iterable[str], hostvars: Mapping[str, Any], name: str) -> list[Row]:
    """Return the rows of all hosts, the host as the first column, grouped by service.

    `name` is the variable that contains a host's result.
    """
    found = []
    for host in hosts:
        result = hostvars[host].get(name)
        rows = [_NOT_CHECKED] if result is None else result.get("rows") or []
        services = list(dict.fromkeys(row["service"] for row in rows))
        found += [{"host": host, **row} for row in sorted(rows, key=lambda row: services.index(row["service"]))]
    return found


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Return the rows as a text table with aligned columns."""
    lines = [_TITLES, *(tuple(row[column] for column in COLUMNS) for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def summary(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a message with the failed checks, or an empty string."""
    failed = [row for row in rows if row["result"] == FAILED]
    lines = [f"- {row['host']}, {row['service']}, {row['check']}: {row['detail']}" for row in failed]
    return "\n".join([f"{len(lines)} of {len(rows)} checks failed:", *lines]) if lines else ""

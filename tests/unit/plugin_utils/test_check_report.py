# SPDX-License-Identifier: Apache-2.0
"""The report of the playbook check: all hosts, expiry of certificates, failed checks."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.check_report import (
    gather,
    summary,
    table,
    with_expiry,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def pem(days: float) -> str:
    """Return a certificate that expires `days` after NOW."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "q")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - timedelta(days=90))
    certificate = builder.not_valid_after(NOW + timedelta(days=days)).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("content", "result", "words"),
    [
        (pem(31), "ok", "31 days left, until 2026-12-23 12:00 UTC"),
        (pem(29), "warning", "29 days left, until 2026-12-21 12:00 UTC; renew it and run reconfigure"),
        (pem(-1), "failed", "expired on 2026-11-21 12:00 UTC"),
        # The first certificate to expire counts.
        (pem(300) + pem(-1), "failed", "expired on"),
        ("", "failed", "/x.crt contains no valid certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "failed", "contains no valid certificate"),
    ],
)
def test_certificate_is_classified_by_its_expiry(content: str, result: str, words: str) -> None:
    unrelated = {"service": "api", "check": "container", "result": "ok", "detail": "runs"}
    found = {"service": "engine", "check": "certificate", "result": "ok", "detail": "/x.crt"}
    rows = with_expiry([unrelated, {**found, "certificate": content, "warn_days": "30"}], NOW)
    assert rows[0] == unrelated
    assert set(rows[1]) == set(unrelated)
    assert rows[1]["result"] == result
    assert words in rows[1]["detail"]


HOSTVARS = {
    "one": {
        "checks": {
            "rows": [
                {"service": "api", "check": "container", "result": "ok", "detail": "runs"},
                {"service": "engine", "check": "container", "result": "warning", "detail": "old"},
                {"service": "api", "check": "queue", "result": "failed", "detail": "no answer"},
            ]
        }
    },
    "no-checks": {"checks": {"rows": []}},
    "down": {},
}


def test_table_contains_all_hosts() -> None:
    rows = gather(HOSTVARS, HOSTVARS, "checks")
    assert table(rows).splitlines() == [
        "HOST  SERVICE  CHECK      RESULT   DETAIL",
        "one   api      container  ok       runs",
        "one   api      queue      failed   no answer",
        "one   engine   container  warning  old",
        "down  -        host       failed   not checked; see the errors above",
    ]
    assert summary(rows).splitlines() == [
        "2 of 4 checks failed:",
        "- one, api, queue: no answer",
        "- down, -, host: not checked; see the errors above",
    ]


def test_warnings_do_not_fail() -> None:
    assert not summary([row for row in gather(HOSTVARS, HOSTVARS, "checks") if row["result"] != "failed"])


def test_expiry_without_the_library_is_a_failed_check() -> None:
    program = (
        "import datetime, sys; sys.path[:] = sys.argv[1].split(':'); sys.modules['cryptography'] = None; "
        "from ansible_collections.qinling.kolla.plugins.plugin_utils._common.check_report import with_expiry; "
        "row = {'service': 's', 'check': 'c', 'result': 'ok', 'detail': 'x.crt', 'certificate': '', 'warn_days': '1'}; "
        "print(*with_expiry([row], datetime.datetime.now())[0].values())"
    )
    command = [sys.executable, "-c", program, ":".join(sys.path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.startswith('s c failed the Python package "cryptography" is missing')

# SPDX-License-Identifier: Apache-2.0
"""The table of the playbook check: all hosts, certificates by their days, what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.check_report import gather, summary, table, told
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def pem(days: float) -> str:
    """Returns a certificate that ends so many days after NOW."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "q")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - timedelta(days=90))
    certificate = builder.not_valid_after(NOW + timedelta(days=days)).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("content", "verdict", "words"),
    [
        (pem(31), "ok", "31 days left, until 2026-12-23 12:00 UTC"),
        (pem(29), "warning", "29 days left, until 2026-12-21 12:00 UTC; renew it and run reconfigure"),
        (pem(-1), "WRONG", "ended on 2026-11-21 12:00 UTC"),
        # Of several the one that ends first counts.
        (pem(300) + pem(-1), "WRONG", "ended on"),
        ("", "WRONG", "/x.crt holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "WRONG", "holds no certificate"),
    ],
)
def test_certificates_are_told_by_their_days(content: str, verdict: str, words: str) -> None:
    plain = {"service": "api", "look": "container", "verdict": "ok", "detail": "runs"}
    found = {"service": "engine", "look": "certificate", "verdict": "ok", "detail": "/x.crt"}
    rows = told([plain, {**found, "certificate": content, "warn_days": "30"}], NOW)
    assert rows[0] == plain
    assert set(rows[1]) == set(plain)
    assert rows[1]["verdict"] == verdict
    assert words in rows[1]["detail"]


HOSTVARS = {
    "one": {
        "looked": {
            "rows": [
                {"service": "api", "look": "container", "verdict": "ok", "detail": "runs"},
                {"service": "engine", "look": "container", "verdict": "warning", "detail": "old"},
                {"service": "api", "look": "queue", "verdict": "WRONG", "detail": "no answer"},
            ]
        }
    },
    "nothing-there": {"looked": {"rows": []}},
    "down": {},
}


def test_table_holds_all_hosts() -> None:
    rows = gather(HOSTVARS, HOSTVARS, "looked")
    assert table(rows).splitlines() == [
        "HOST  SERVICE  LOOKED AT  VERDICT  DETAIL",
        "one   api      container  ok       runs",
        "one   api      queue      WRONG    no answer",
        "one   engine   container  warning  old",
        "down  -        host       WRONG    was not looked at: see above why",
    ]
    assert summary(rows).splitlines() == [
        "check found 2 of 4 things wrong:",
        "- one, api, queue: no answer",
        "- down, -, host: was not looked at: see above why",
    ]


def test_warnings_are_no_failure() -> None:
    assert not summary([row for row in gather(HOSTVARS, HOSTVARS, "looked") if row["verdict"] != "WRONG"])

# SPDX-License-Identifier: Apache-2.0
"""Each broken certificate file has its own message, and valid files have none."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2030, 6, 15, 12, 0, tzinfo=UTC)
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    @property
    def key_pem(self) -> bytes:
        return key_bytes(self.key)


def key_bytes(key: Any, encoding: Any = PEM, form: Any = PKCS8, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(encoding, form, encryption))


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    del number
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(number: int) -> ec.EllipticCurvePrivateKey:
    del number
    return ec.generate_private_key(ec.SECP256R1())


def issue(
    name: str,
    key: Any,
    by: Pair | None = None,
    days: tuple[float, float] = (-100, 300),
    ca: bool | None = False,
    usages: list[x509.ObjectIdentifier] | None = None,
    names: list[x509.GeneralName] | None = None,
    signs: bool | None = None,
) -> Pair:
    """Return a certificate for `name` (no subject if empty), signed by `by` or itself, valid for `days` around NOW."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if signs is not None:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, signs, False, False, False), critical=True
        )
    signer = by.key if by else key
    return Pair(builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()), key)


CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]
ROOT = issue("kubernetes", ec_key(0), days=(-400, 3000), ca=True, signs=True)
OTHER = issue("another", ec_key(1), days=(-400, 3000), ca=True)
REBUILT = issue("kubernetes", ec_key(2), days=(-400, 3000), ca=True)
BETWEEN = issue("kubernetes-clients", ec_key(3), by=ROOT, ca=True)
LEAF = issue("qinling", ec_key(4), by=ROOT, usages=CLIENT)
DEEP = issue("qinling", ec_key(4), by=BETWEEN, usages=CLIENT)

CA, CERT, KEY = "/c/kubernetes_ca.crt", "/c/kubernetes.crt", "/c/kubernetes.key"


def examine(
    ca: Any = ROOT.pem, cert: Any = LEAF.pem, key: Any = LEAF.key_pem, warn_days: int = 30
) -> certificates.Verdict:
    def file(path: str, content: bytes | str | None) -> certificates.File:
        return certificates.File(path, None, content) if isinstance(content, str) else certificates.File(path, content)

    files = {"ca": file(CA, ca), "certificate": file(CERT, cert), "key": file(KEY, key)}
    return certificates.examine(files, NOW, warn_days)


RSA = issue("qinling", rsa_key(), by=ROOT, usages=CLIENT)
ED = issue("qinling", ed25519.Ed25519PrivateKey.generate(), by=ROOT, usages=CLIENT)
ED_ROOT = issue("kubernetes", ed25519.Ed25519PrivateKey.generate(), ca=True)
ED_LEAF = issue("qinling", ec_key(4), by=ED_ROOT)
RSA_ROOT = issue("kubernetes", rsa_key(1), ca=True)
RSA_LEAF = issue("qinling", ec_key(4), by=RSA_ROOT)
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({}, id="EC"),
        pytest.param({"cert": RSA.pem, "key": RSA.key_pem}, id="RSA"),
        pytest.param({"cert": RSA.pem, "key": key_bytes(RSA.key, form=TRADITIONAL)}, id="RSA, traditional"),
        pytest.param(
            {"key": EC_PARAMETERS + key_bytes(LEAF.key, form=TRADITIONAL)},
            id="EC with parameters, as OpenSSL writes it",
        ),
        pytest.param({"cert": ED.pem, "key": ED.key_pem}, id="Ed25519"),
        pytest.param({"ca": ED_ROOT.pem, "cert": ED_LEAF.pem}, id="CA with Ed25519"),
        pytest.param({"ca": RSA_ROOT.pem, "cert": RSA_LEAF.pem}, id="CA with RSA"),
        pytest.param({"cert": DEEP.pem + BETWEEN.pem}, id="intermediate in the certificate's file"),
        pytest.param({"ca": BETWEEN.pem, "cert": DEEP.pem}, id="intermediate as the trusted CA"),
        pytest.param({"ca": OTHER.pem + ROOT.pem}, id="bundle of several CAs"),
        pytest.param({"ca": REBUILT.pem + ROOT.pem}, id="bundle of two CAs of one name"),
        pytest.param({"cert": issue("qinling", ec_key(4), by=ROOT).pem}, id="no extended key usage"),
        pytest.param(
            {"cert": issue("q", ec_key(4), by=ROOT, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]).pem},
            id="any usage",
        ),
        pytest.param({"ca": issue("kubernetes", ec_key(0), ca=True).pem}, id="CA without key usage"),
        pytest.param({"cert": b"subject=CN = qinling\n" + LEAF.pem.replace(b"\n", b"\r\n")}, id="text before, CRLF"),
    ],
)
def test_valid_files_pass(files: dict[str, bytes]) -> None:
    verdict = examine(**files)  # type: ignore[arg-type]
    assert (verdict.findings, verdict.warnings) == ([], [])
    assert set(verdict.usable) == {"ca", "certificate", "key"}
    assert verdict.user in {"qinling", "q"}


def with_bytes_replaced(pair: Pair, old: bytes, new: bytes) -> bytes:
    """Return a certificate with bytes of its DER form replaced by as many others, which invalidates its signature."""
    content = pair.certificate.public_bytes(DER)
    assert old in content
    assert len(old) == len(new)
    return x509.load_der_x509_certificate(content.replace(old, new)).public_bytes(PEM)


SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")
NOT_A_CA = issue("web", ec_key(5), ca=False)
NO_CLIENT = issue("qinling", ec_key(4), by=ROOT, usages=[ExtendedKeyUsageOID.SERVER_AUTH])
NOT_BETWEEN = issue("kubernetes-clients", ec_key(3), by=ROOT, ca=False)
OLD_BETWEEN = issue("kubernetes-clients", ec_key(3), by=ROOT, ca=True, days=(-50, -1))
KUBECONFIG = b"apiVersion: v1\nkind: Config\nusers: []\n"
SSH_KEY = key_bytes(ec_key(4), form=serialization.PrivateFormat.OpenSSH)
P12 = pkcs12.serialize_key_and_certificates(b"q", ec_key(4), LEAF.certificate, None, serialization.NoEncryption())
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(LEAF.certificate.subject)
    .sign(ec_key(4), hashes.SHA256())
    .public_bytes(PEM)
)
PUBLIC = ec_key(4).public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DSA_KEY = key_bytes(dsa.generate_private_key(2048))
TOO_SMALL = rsa_key(9, 1024)

# The broken file's path, the files that replace valid ones, and the expected message.
SAME_CLUSTER = (
    "expected certificates of the same cluster (append an intermediate CA to the file of the certificate; "
    "if the cluster has a separate CA for clients, append it to the CA file)"
)
BROKEN_FILES: dict[str, tuple[str, dict[str, Any], str]] = {
    "CA missing": (CA, {"ca": None}, "does not exist; expected the CA certificate"),
    "certificate missing": (CERT, {"cert": None}, "does not exist; expected the client certificate"),
    "key missing": (KEY, {"key": None}, "does not exist; expected the private key"),
    "not readable": (KEY, {"key": "cannot be read: Permission denied"}, "cannot be read: Permission denied"),
    "empty": (CERT, {"cert": b" \n"}, "is empty; expected the client certificate in PEM format"),
    "byte order mark": (
        CERT,
        {"cert": LEAF.pem.decode().encode("utf-16")},
        "has a byte order mark, which some Windows tools write; save it as plain ASCII",
    ),
    "still encrypted with ansible-vault": (
        KEY,
        {"key": b"$ANSIBLE_VAULT;1.1;AES256\n6162\n"},
        "is encrypted with ansible-vault; set the password (--vault-password-file or --ask-vault-pass)",
    ),
    "CA in DER": (
        CA,
        {"ca": ROOT.certificate.public_bytes(DER)},
        "is in DER format; expected PEM; convert it with: openssl x509 -inform der -in OLD -out NEW",
    ),
    "certificate in DER": (
        CERT,
        {"cert": LEAF.certificate.public_bytes(DER)},
        "is in DER format; expected PEM; convert it with: openssl x509 -inform der -in OLD -out NEW",
    ),
    "key in DER": (
        KEY,
        {"key": key_bytes(LEAF.key, DER)},
        "is in DER format; expected PEM; convert it with: openssl pkey -inform der -in OLD -out NEW",
    ),
    "encrypted key in DER": (
        KEY,
        {"key": key_bytes(LEAF.key, DER, password=b"secret")},
        "is in DER format; expected PEM; convert it with: openssl pkey -inform der -in OLD -out NEW",
    ),
    "DER key as certificate": (
        CERT,
        {"cert": key_bytes(LEAF.key, DER)},
        "is in DER format, and is a private key instead of the client certificate; expected PEM; "
        "convert it with: openssl pkey -inform der -in OLD -out NEW",
    ),
    "DER certificate as key": (
        KEY,
        {"key": LEAF.certificate.public_bytes(DER)},
        "is in DER format, and is a certificate instead of the private key; expected PEM; "
        "convert it with: openssl x509 -inform der -in OLD -out NEW",
    ),
    "PKCS#12 as certificate": (
        CERT,
        {"cert": P12},
        "is a PKCS#12 bundle (.p12, .pfx); extract the PEM with: openssl pkcs12 -in OLD -clcerts -nokeys -out NEW",
    ),
    "PKCS#12 as key": (
        KEY,
        {"key": P12},
        "is a PKCS#12 bundle (.p12, .pfx); extract the PEM with: openssl pkcs12 -in OLD -nocerts -noenc -out NEW",
    ),
    "kubeconfig": (
        CERT,
        {"cert": KUBECONFIG},
        "is a kubeconfig; expected the client certificate; decode its client-certificate-data with: base64 -d",
    ),
    "base64 of PEM": (
        CA,
        {"ca": base64.b64encode(ROOT.pem)},
        "is encoded in base64 again, as in kubeconfig files; decode it with: base64 -d OLD > NEW",
    ),
    "other content": (
        CA,
        {"ca": b"<html>not found</html>"},
        "is not a PEM file (it has no -----BEGIN); expected the CA certificate",
    ),
    "certificate truncated": (
        CERT,
        {"cert": LEAF.pem[:-40]},
        'is truncated: "BEGIN CERTIFICATE" has no "END CERTIFICATE"; copy the complete file again',
    ),
    "key truncated": (
        KEY,
        {"key": LEAF.key_pem[:-40]},
        'is truncated: "BEGIN PRIVATE KEY" has no "END PRIVATE KEY"; copy the complete file again',
    ),
    "second CA damaged": (
        CA,
        {"ca": ROOT.pem + b"\n".join([*OTHER.pem.split(b"\n")[:3], *OTHER.pem.split(b"\n")[4:]])},
        "certificate number 2 in it is damaged: its content is not a certificate; copy the complete file again",
    ),
    "key damaged": (
        KEY,
        {"key": LEAF.key_pem.replace(LEAF.key_pem.split(b"\n")[1], b"AAAA")},
        "the private key in it is damaged: its content is not a key; copy the complete file again",
    ),
    "key as certificate": (
        CERT,
        {"cert": LEAF.key_pem},
        "contains a private key; expected the client certificate; are the files swapped?",
    ),
    "key as CA": (
        CA,
        {"ca": LEAF.key_pem},
        ("contains a private key; expected the CA certificate; are the files swapped?"),
    ),
    "certificate as key": (
        KEY,
        {"key": LEAF.pem},
        "contains a certificate; expected the private key; are the files swapped?",
    ),
    "key next to the certificate": (
        CERT,
        {"cert": LEAF.pem + LEAF.key_pem},
        "contains a private key in addition to the client certificate; leave only certificates in this file",
    ),
    "request as certificate": (
        CERT,
        {"cert": REQUEST},
        "is a certificate signing request (CSR); expected the client certificate; let the CA sign it",
    ),
    "public key as certificate": (
        CERT,
        {"cert": PUBLIC},
        'contains PUBLIC KEY; expected the client certificate ("BEGIN CERTIFICATE")',
    ),
    "public key as key": (KEY, {"key": PUBLIC}, "is a public key; expected the private key"),
    "request as key": (
        KEY,
        {"key": REQUEST},
        'contains CERTIFICATE REQUEST; expected the private key ("BEGIN PRIVATE KEY")',
    ),
    "OpenSSH key": (
        KEY,
        {"key": SSH_KEY},
        ("is in OpenSSH's format; convert a copy with: ssh-keygen -p -m PKCS8 -N '' -f COPY"),
    ),
    "encrypted key": (
        KEY,
        {"key": key_bytes(LEAF.key, password=b"secret")},
        "is protected with a passphrase, which the engine cannot enter; decrypt it with: openssl pkey -in OLD -out NEW "
        "(and protect it with ansible-vault encrypt instead)",
    ),
    "encrypted key, traditional": (
        KEY,
        {"key": key_bytes(rsa_key(), form=TRADITIONAL, password=b"secret")},
        "is protected with a passphrase, which the engine cannot enter; decrypt it with: openssl pkey -in OLD -out NEW "
        "(and protect it with ansible-vault encrypt instead)",
    ),
    "two keys": (
        KEY,
        {"key": LEAF.key_pem + RSA.key_pem},
        "contains 2 private keys; leave only the one that belongs to the certificate",
    ),
    "DSA key": (
        KEY,
        {"key": DSA_KEY},
        "is a key of a type that Kubernetes does not support (DSAPrivateKey); expected RSA, EC or Ed25519",
    ),
    "small RSA key": (
        KEY,
        {"cert": issue("qinling", TOO_SMALL, by=ROOT).pem, "key": key_bytes(TOO_SMALL)},
        "is an RSA key of 1024 bits, which TLS libraries refuse; expected at least 2048 bits",
    ),
    "key of another certificate": (
        KEY,
        {"key": key_bytes(ec_key(7))},
        f"does not belong to {CERT}: it is EC secp256r1, and the certificate is for another key (EC secp256r1); "
        "expected a matching pair",
    ),
    "key of another kind": (
        KEY,
        {"key": ED.key_pem},
        f"does not belong to {CERT}: it is Ed25519, and the certificate is for another key (EC secp256r1); "
        "expected a matching pair",
    ),
    "certificates in the wrong order": (
        KEY,
        {"cert": BETWEEN.pem + DEEP.pem},
        f"the key belongs to certificate number 2 in {CERT}, which must be the first in the file",
    ),
    "signed by another CA": (
        CERT,
        {"ca": OTHER.pem},
        f'is signed by "CN=kubernetes", but {CA} contains "CN=another"; {SAME_CLUSTER}',
    ),
    "intermediate missing": (
        CERT,
        {"cert": DEEP.pem},
        f'is signed by "CN=kubernetes-clients", but {CA} contains "CN=kubernetes"; {SAME_CLUSTER}',
    ),
    "intermediate of another CA": (
        CERT,
        {"ca": OTHER.pem, "cert": DEEP.pem + BETWEEN.pem},
        f'is signed by "CN=kubernetes", but {CA} contains "CN=another"; {SAME_CLUSTER}',
    ),
    "CA renewed with the same name": (
        CERT,
        {"ca": REBUILT.pem},
        f'is not signed by the CA in {CA}: the CA "CN=kubernetes" in it has another key, '
        "so one of the two files is from another cluster or older than its CA; fetch both again",
    ),
    "self-signed": (
        CERT,
        {"cert": issue("qinling", ec_key(4), usages=CLIENT).pem},
        (f'is self-signed ("CN=qinling"); expected a certificate signed by the CA in {CA} ("CN=kubernetes")'),
    ),
    "CA as certificate": (
        CERT,
        {"cert": ROOT.pem, "key": ROOT.key_pem},
        f"is the same certificate as {CA}; expected a certificate signed by this CA",
    ),
    "certificate as CA": (
        CA,
        {"ca": NOT_A_CA.pem, "cert": issue("qinling", ec_key(4), by=NOT_A_CA).pem},
        '"CN=web" is not a CA certificate (no CA:TRUE); are the files swapped?',
    ),
    "CA without permission to sign": (
        CA,
        {"ca": issue("kubernetes", ec_key(0), ca=True, signs=False).pem},
        '"CN=kubernetes" is not a CA certificate (no CA:TRUE); are the files swapped?',
    ),
    "CA expired": (
        CA,
        {"ca": issue("kubernetes", ec_key(0), ca=True, days=(-9, -1)).pem},
        'the CA "CN=kubernetes" expired on 2030-06-14 12:00 UTC; replace it',
    ),
    "CA not yet valid": (
        CA,
        {"ca": issue("kubernetes", ec_key(0), ca=True, days=(1, 9)).pem},
        (
            'the CA "CN=kubernetes" is not valid before 2030-06-16 12:00 UTC, and now is '
            "2030-06-15 12:00 UTC; wait, or correct the clock"
        ),
    ),
    "certificate expired": (
        CERT,
        {"cert": issue("qinling", ec_key(4), by=ROOT, days=(-9, -1)).pem},
        "the certificate expired on 2030-06-14 12:00 UTC; replace it",
    ),
    "certificate not yet valid": (
        CERT,
        {"cert": issue("qinling", ec_key(4), by=ROOT, days=(1, 9)).pem},
        (
            "the certificate is not valid before 2030-06-16 12:00 UTC, and now is "
            "2030-06-15 12:00 UTC; wait, or correct the clock"
        ),
    ),
    "intermediate expired": (
        CERT,
        {"cert": DEEP.pem + OLD_BETWEEN.pem},
        'the intermediate CA "CN=kubernetes-clients" in it expired on 2030-06-14 12:00 UTC; replace it',
    ),
    "intermediate is not a CA": (
        CERT,
        {"cert": DEEP.pem + NOT_BETWEEN.pem},
        'the intermediate certificate "CN=kubernetes-clients" in it is not a CA (no CA:TRUE)',
    ),
    "for servers": (
        CERT,
        {"cert": NO_CLIENT.pem},
        "the certificate is not a client certificate: its extended key usage is serverAuth; expected clientAuth",
    ),
    "no user name": (
        CERT,
        {"cert": issue("", ec_key(4), by=ROOT).pem},
        "the certificate has no common name (CN), which Kubernetes uses as the user name",
    ),
    "signed with SHA-1": (
        CERT,
        {"ca": RSA_ROOT.pem, "cert": with_bytes_replaced(RSA_LEAF, SHA256_WITH_RSA, SHA1_WITH_RSA)},
        "the certificate is signed with SHA1, which API servers refuse; expected SHA-256",
    ),
}
# The number of further findings that a broken file causes.
EXTRA_FINDINGS = {"signed with SHA-1": 1}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_each_broken_file_has_its_own_message(name: str) -> None:
    path, files, message = BROKEN_FILES[name]
    verdict = examine(**files)  # type: ignore[arg-type]
    assert (path, message) in [(finding.where, finding.message) for finding in verdict.findings]
    assert len(verdict.findings) == 1 + EXTRA_FINDINGS.get(name, 0), verdict.findings
    broken = {CA: {"ca"}, CERT: {"certificate", "key"}, KEY: {"certificate", "key"}}[path]
    assert not broken & set(verdict.usable)
    assert all("secret" not in finding.message for finding in verdict.findings)


def test_all_problems_are_reported_at_once() -> None:
    expired = issue("qinling", ec_key(4), by=OTHER, days=(-9, -1), usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    verdict = examine(cert=expired.pem, key=RSA.key_pem)
    starts = [(finding.where, finding.message.split()[0:3]) for finding in verdict.findings]
    assert starts == [
        (CERT, ["the", "certificate", "expired"]),
        (CERT, ["the", "certificate", "is"]),
        (CERT, ["is", "signed", "by"]),
        (KEY, ["does", "not", "belong"]),
    ]


@pytest.mark.parametrize(
    ("files", "days", "warnings"),
    [
        ({}, 299, []),
        ({}, 301, [f"{CERT}: the certificate expires on 2031-04-11 12:00 UTC, in 300 days; renew it"]),
        (
            {"ca": issue("kubernetes", ec_key(0), ca=True, days=(-1, 5)).pem},
            30,
            [f'{CA}: the CA "CN=kubernetes" expires on 2030-06-20 12:00 UTC, in 5 days; renew it'],
        ),
        (
            {"ca": ROOT.pem + issue("old", ec_key(1), ca=True, days=(-9, -5)).pem},
            30,
            [f'{CA}: the CA "CN=old" expired on 2030-06-10 12:00 UTC; it may be removed from the file'],
        ),
        ({"ca": ROOT.pem + issue("next", ec_key(1), ca=True, days=(5, 9)).pem}, 30, []),
    ],
)
def test_warnings_have_a_date(files: dict[str, bytes], days: int, warnings: list[str]) -> None:
    verdict = examine(**files, warn_days=days)
    assert (verdict.findings, verdict.warnings) == ([], warnings)
    assert set(verdict.usable) == {"ca", "certificate", "key"}


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda: certificates.names_in(issue("s", ec_key(1), names=[x509.DNSName("a.b")]).certificate), ["a.b"]),
        (
            lambda: certificates.names_in(
                issue(
                    "s", ec_key(1), names=[x509.DNSName("a"), x509.IPAddress(ipaddress.ip_address("::1"))]
                ).certificate
            ),
            ["a", "::1"],
        ),
        (lambda: certificates.names_in(LEAF.certificate), []),
        (
            lambda: [certificates.subject(item) for item in certificates.load_all((ROOT.pem + OTHER.pem).decode())],
            ["CN=kubernetes", "CN=another"],
        ),
    ],
)
def test_server_certificates_are_read(read: Callable[[], list[str]], expected: list[str]) -> None:
    assert read() == expected

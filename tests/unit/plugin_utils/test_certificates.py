# SPDX-License-Identifier: Apache-2.0
"""A zoo of broken certificates: each member has a message of its own, and the sound ones have none."""

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


def made(
    name: str,
    key: Any,
    by: Pair | None = None,
    days: tuple[float, float] = (-100, 300),
    ca: bool | None = False,
    usages: list[x509.ObjectIdentifier] | None = None,
    names: list[x509.GeneralName] | None = None,
    signs: bool | None = None,
) -> Pair:
    """A certificate for `name` (none at all if empty), signed by `by` or itself, valid `days` from now."""
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
ROOT = made("kubernetes", ec_key(0), days=(-400, 3000), ca=True, signs=True)
OTHER = made("another", ec_key(1), days=(-400, 3000), ca=True)
REBUILT = made("kubernetes", ec_key(2), days=(-400, 3000), ca=True)
BETWEEN = made("kubernetes-clients", ec_key(3), by=ROOT, ca=True)
LEAF = made("qinling", ec_key(4), by=ROOT, usages=CLIENT)
DEEP = made("qinling", ec_key(4), by=BETWEEN, usages=CLIENT)

CA, CERT, KEY = "/c/kubernetes_ca.crt", "/c/kubernetes.crt", "/c/kubernetes.key"


def examine(
    ca: Any = ROOT.pem, cert: Any = LEAF.pem, key: Any = LEAF.key_pem, warn_days: int = 30
) -> certificates.Verdict:
    def file(path: str, content: bytes | str | None) -> certificates.File:
        return certificates.File(path, None, content) if isinstance(content, str) else certificates.File(path, content)

    files = {"ca": file(CA, ca), "certificate": file(CERT, cert), "key": file(KEY, key)}
    return certificates.examine(files, NOW, warn_days)


RSA = made("qinling", rsa_key(), by=ROOT, usages=CLIENT)
ED = made("qinling", ed25519.Ed25519PrivateKey.generate(), by=ROOT, usages=CLIENT)
ED_ROOT = made("kubernetes", ed25519.Ed25519PrivateKey.generate(), ca=True)
ED_LEAF = made("qinling", ec_key(4), by=ED_ROOT)
RSA_ROOT = made("kubernetes", rsa_key(1), ca=True)
RSA_LEAF = made("qinling", ec_key(4), by=RSA_ROOT)
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
        pytest.param({"cert": made("qinling", ec_key(4), by=ROOT).pem}, id="no extended key usage"),
        pytest.param(
            {"cert": made("q", ec_key(4), by=ROOT, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]).pem},
            id="any usage",
        ),
        pytest.param({"ca": made("kubernetes", ec_key(0), ca=True).pem}, id="CA without key usage"),
        pytest.param({"cert": b"subject=CN = qinling\n" + LEAF.pem.replace(b"\n", b"\r\n")}, id="text before, CRLF"),
    ],
)
def test_sound_files_pass(files: dict[str, bytes]) -> None:
    verdict = examine(**files)
    assert (verdict.findings, verdict.warnings) == ([], [])
    assert set(verdict.usable) == {"ca", "certificate", "key"}
    assert verdict.user in {"qinling", "q"}


def signed_anew(pair: Pair, old: bytes, new: bytes) -> bytes:
    """A certificate with some bytes of its DER form replaced by as many others (its signature no longer fits)."""
    content = pair.certificate.public_bytes(DER)
    assert old in content
    assert len(old) == len(new)
    return x509.load_der_x509_certificate(content.replace(old, new)).public_bytes(PEM)


SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")
NOT_A_CA = made("web", ec_key(5), ca=False)
NO_CLIENT = made("qinling", ec_key(4), by=ROOT, usages=[ExtendedKeyUsageOID.SERVER_AUTH])
NOT_BETWEEN = made("kubernetes-clients", ec_key(3), by=ROOT, ca=False)
OLD_BETWEEN = made("kubernetes-clients", ec_key(3), by=ROOT, ca=True, days=(-50, -1))
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

# The broken file's path, what is given instead of sound files, and the whole message.
ZOO: dict[str, tuple[str, dict[str, Any], str]] = {
    "CA not there": (CA, {"ca": None}, "is not there; the CA certificate is expected"),
    "certificate not there": (CERT, {"cert": None}, "is not there; the client certificate is expected"),
    "key not there": (KEY, {"key": None}, "is not there; the private key is expected"),
    "not readable": (KEY, {"key": "can not be read: Permission denied"}, "can not be read: Permission denied"),
    "empty": (CERT, {"cert": b" \n"}, "is empty; the client certificate is expected in PEM form"),
    "byte order mark": (
        CERT,
        {"cert": LEAF.pem.decode().encode("utf-16")},
        "is text with a byte order mark, as some Windows tools write it; save it as plain ASCII",
    ),
    "still encrypted with ansible-vault": (
        KEY,
        {"key": b"$ANSIBLE_VAULT;1.1;AES256\n6162\n"},
        "is encrypted with ansible-vault; give the password (--vault-password-file or --ask-vault-pass)",
    ),
    "CA in DER": (
        CA,
        {"ca": ROOT.certificate.public_bytes(DER)},
        "is in DER form; PEM is expected, convert it with: openssl x509 -inform der -in OLD -out NEW",
    ),
    "certificate in DER": (
        CERT,
        {"cert": LEAF.certificate.public_bytes(DER)},
        "is in DER form; PEM is expected, convert it with: openssl x509 -inform der -in OLD -out NEW",
    ),
    "key in DER": (
        KEY,
        {"key": key_bytes(LEAF.key, DER)},
        "is in DER form; PEM is expected, convert it with: openssl pkey -inform der -in OLD -out NEW",
    ),
    "encrypted key in DER": (
        KEY,
        {"key": key_bytes(LEAF.key, DER, password=b"secret")},
        "is in DER form; PEM is expected, convert it with: openssl pkey -inform der -in OLD -out NEW",
    ),
    "DER key as certificate": (
        CERT,
        {"cert": key_bytes(LEAF.key, DER)},
        "is in DER form, and is a private key where the client certificate is expected; PEM is expected, "
        "convert it with: openssl pkey -inform der -in OLD -out NEW",
    ),
    "DER certificate as key": (
        KEY,
        {"key": LEAF.certificate.public_bytes(DER)},
        "is in DER form, and is a certificate where the private key is expected; PEM is expected, "
        "convert it with: openssl x509 -inform der -in OLD -out NEW",
    ),
    "PKCS#12 as certificate": (
        CERT,
        {"cert": P12},
        "is a PKCS#12 bundle (.p12, .pfx); take the PEM out with: openssl pkcs12 -in OLD -clcerts -nokeys -out NEW",
    ),
    "PKCS#12 as key": (
        KEY,
        {"key": P12},
        "is a PKCS#12 bundle (.p12, .pfx); take the PEM out with: openssl pkcs12 -in OLD -nocerts -noenc -out NEW",
    ),
    "kubeconfig": (
        CERT,
        {"cert": KUBECONFIG},
        "is a kubeconfig; the client certificate is what its client-certificate-data gives after: base64 -d",
    ),
    "base64 of PEM": (
        CA,
        {"ca": base64.b64encode(ROOT.pem)},
        "is encoded in base64 once more, as kubeconfig files hold it; decode it with: base64 -d OLD > NEW",
    ),
    "anything else": (
        CA,
        {"ca": b"<html>not found</html>"},
        "is not a PEM file (nothing in it starts with -----BEGIN); the CA certificate is expected",
    ),
    "certificate cut off": (
        CERT,
        {"cert": LEAF.pem[:-40]},
        'is cut off: "BEGIN CERTIFICATE" has no "END CERTIFICATE"; copy the file again, whole',
    ),
    "key cut off": (
        KEY,
        {"key": LEAF.key_pem[:-40]},
        'is cut off: "BEGIN PRIVATE KEY" has no "END PRIVATE KEY"; copy the file again, whole',
    ),
    "second CA damaged": (
        CA,
        {"ca": ROOT.pem + b"\n".join([*OTHER.pem.split(b"\n")[:3], *OTHER.pem.split(b"\n")[4:]])},
        "certificate number 2 in it is damaged: its lines are not those of a certificate; copy the file again, whole",
    ),
    "key damaged": (
        KEY,
        {"key": LEAF.key_pem.replace(LEAF.key_pem.split(b"\n")[1], b"AAAA")},
        "the private key in it is damaged: its lines are not those of a key; copy the file again, whole",
    ),
    "key as certificate": (
        CERT,
        {"cert": LEAF.key_pem},
        "holds a private key where the client certificate is expected; are the files mixed up?",
    ),
    "key as CA": (
        CA,
        {"ca": LEAF.key_pem},
        ("holds a private key where the CA certificate is expected; are the files mixed up?"),
    ),
    "certificate as key": (
        KEY,
        {"key": LEAF.pem},
        "holds a certificate where the private key is expected; are the files mixed up?",
    ),
    "key beside the certificate": (
        CERT,
        {"cert": LEAF.pem + LEAF.key_pem},
        "holds a private key beside the client certificate; leave only certificates in this file",
    ),
    "request as certificate": (
        CERT,
        {"cert": REQUEST},
        "is a request for a certificate (CSR), not the client certificate; have it signed and put the answer here",
    ),
    "public key as certificate": (
        CERT,
        {"cert": PUBLIC},
        'holds PUBLIC KEY where the client certificate ("BEGIN CERTIFICATE") is expected',
    ),
    "public key as key": (KEY, {"key": PUBLIC}, "is a public key; the private key is expected"),
    "request as key": (
        KEY,
        {"key": REQUEST},
        'holds CERTIFICATE REQUEST where the private key ("BEGIN PRIVATE KEY") is expected',
    ),
    "OpenSSH key": (
        KEY,
        {"key": SSH_KEY},
        ("is in OpenSSH's own form; convert a copy with: ssh-keygen -p -m PKCS8 -N '' -f COPY"),
    ),
    "encrypted key": (
        KEY,
        {"key": key_bytes(LEAF.key, password=b"secret")},
        "is protected with a passphrase, which the engine can not type; decrypt it with: openssl pkey -in OLD -out NEW "
        "(and protect it with ansible-vault encrypt instead)",
    ),
    "encrypted key, traditional": (
        KEY,
        {"key": key_bytes(rsa_key(), form=TRADITIONAL, password=b"secret")},
        "is protected with a passphrase, which the engine can not type; decrypt it with: openssl pkey -in OLD -out NEW "
        "(and protect it with ansible-vault encrypt instead)",
    ),
    "two keys": (
        KEY,
        {"key": LEAF.key_pem + RSA.key_pem},
        "holds 2 private keys; leave only the one that belongs to the certificate",
    ),
    "DSA key": (
        KEY,
        {"key": DSA_KEY},
        "is a key of a kind that Kubernetes does not take (DSAPrivateKey); RSA, EC and Ed25519 serve",
    ),
    "small RSA key": (
        KEY,
        {"cert": made("qinling", TOO_SMALL, by=ROOT).pem, "key": key_bytes(TOO_SMALL)},
        "is an RSA key of 1024 bits, which TLS libraries refuse; at least 2048 are needed",
    ),
    "key of another certificate": (
        KEY,
        {"key": key_bytes(ec_key(7))},
        f"does not belong to {CERT}: it is EC secp256r1, and the certificate is for another key (EC secp256r1); "
        "put the two that were made together there",
    ),
    "key of another kind": (
        KEY,
        {"key": ED.key_pem},
        f"does not belong to {CERT}: it is Ed25519, and the certificate is for another key (EC secp256r1); "
        "put the two that were made together there",
    ),
    "certificates in the wrong order": (
        KEY,
        {"cert": BETWEEN.pem + DEEP.pem},
        f"its key belongs to certificate number 2 in {CERT}; that one has to be the first there",
    ),
    "signed by another CA": (
        CERT,
        {"ca": OTHER.pem},
        f'is signed by "CN=kubernetes", but {CA} holds "CN=another"; put certificates of the same cluster there '
        "(a CA between the two belongs after the certificate in its file; where the cluster signs clients with a CA of "
        "their own, append that one to the CA file)",
    ),
    "intermediate missing": (
        CERT,
        {"cert": DEEP.pem},
        f'is signed by "CN=kubernetes-clients", but {CA} holds "CN=kubernetes"; '
        "put certificates of the same cluster there "
        "(a CA between the two belongs after the certificate in its file; where the cluster signs clients with a CA of "
        "their own, append that one to the CA file)",
    ),
    "intermediate of another CA": (
        CERT,
        {"ca": OTHER.pem, "cert": DEEP.pem + BETWEEN.pem},
        f'is signed by "CN=kubernetes", but {CA} holds "CN=another"; put certificates of the same cluster there '
        "(a CA between the two belongs after the certificate in its file; where the cluster signs clients with a CA of "
        "their own, append that one to the CA file)",
    ),
    "CA rebuilt under its old name": (
        CERT,
        {"ca": REBUILT.pem},
        f'is not signed by the CA in {CA}: a CA named "CN=kubernetes" is there, but with another key, '
        "so one of the two files is of another cluster or from before its CA was renewed; fetch both again",
    ),
    "signed by itself": (
        CERT,
        {"cert": made("qinling", ec_key(4), usages=CLIENT).pem},
        (
            f'is signed by itself ("CN=qinling"), not by the CA in {CA} ("CN=kubernetes"); '
            "have the cluster's CA sign a certificate"
        ),
    ),
    "CA as certificate": (
        CERT,
        {"cert": ROOT.pem, "key": ROOT.key_pem},
        f"is the same certificate as {CA}; the certificate that this CA signed is expected",
    ),
    "certificate as CA": (
        CA,
        {"ca": NOT_A_CA.pem, "cert": made("qinling", ec_key(4), by=NOT_A_CA).pem},
        '"CN=web" is not the certificate of a CA (no CA:TRUE); are the files mixed up?',
    ),
    "CA that may not sign": (
        CA,
        {"ca": made("kubernetes", ec_key(0), ca=True, signs=False).pem},
        '"CN=kubernetes" is not the certificate of a CA (no CA:TRUE); are the files mixed up?',
    ),
    "CA expired": (
        CA,
        {"ca": made("kubernetes", ec_key(0), ca=True, days=(-9, -1)).pem},
        'the CA "CN=kubernetes" expired on 2030-06-14 12:00 UTC; put a new one there',
    ),
    "CA not yet valid": (
        CA,
        {"ca": made("kubernetes", ec_key(0), ca=True, days=(1, 9)).pem},
        (
            'the CA "CN=kubernetes" is not valid before 2030-06-16 12:00 UTC, and now is '
            "2030-06-15 12:00 UTC; wait, or set the clock right"
        ),
    ),
    "certificate expired": (
        CERT,
        {"cert": made("qinling", ec_key(4), by=ROOT, days=(-9, -1)).pem},
        "the certificate expired on 2030-06-14 12:00 UTC; put a new one there",
    ),
    "certificate not yet valid": (
        CERT,
        {"cert": made("qinling", ec_key(4), by=ROOT, days=(1, 9)).pem},
        (
            "the certificate is not valid before 2030-06-16 12:00 UTC, and now is "
            "2030-06-15 12:00 UTC; wait, or set the clock right"
        ),
    ),
    "intermediate expired": (
        CERT,
        {"cert": DEEP.pem + OLD_BETWEEN.pem},
        'the intermediate CA "CN=kubernetes-clients" in it expired on 2030-06-14 12:00 UTC; put a new one there',
    ),
    "intermediate that is no CA": (
        CERT,
        {"cert": DEEP.pem + NOT_BETWEEN.pem},
        'the intermediate certificate "CN=kubernetes-clients" in it is not that of a CA (no CA:TRUE)',
    ),
    "for servers": (
        CERT,
        {"cert": NO_CLIENT.pem},
        "the certificate is not for clients: its extended key usage is serverAuth, clientAuth is missing",
    ),
    "no user name": (
        CERT,
        {"cert": made("", ec_key(4), by=ROOT).pem},
        "the certificate has no common name (CN), which Kubernetes takes as the user's name",
    ),
    "signed with SHA-1": (
        CERT,
        {"ca": RSA_ROOT.pem, "cert": signed_anew(RSA_LEAF, SHA256_WITH_RSA, SHA1_WITH_RSA)},
        "the certificate is signed with SHA1, which API servers refuse; have it signed with SHA-256",
    ),
}
# What a broken file breaks as well, beside its own message.
MORE = {"signed with SHA-1": 1}


@pytest.mark.parametrize("name", ZOO)
def test_each_member_of_the_zoo_has_its_own_message(name: str) -> None:
    path, files, message = ZOO[name]
    verdict = examine(**files)
    assert (path, message) in [(finding.where, finding.message) for finding in verdict.findings]
    assert len(verdict.findings) == 1 + MORE.get(name, 0), verdict.findings
    broken = {CA: {"ca"}, CERT: {"certificate", "key"}, KEY: {"certificate", "key"}}[path]
    assert not broken & set(verdict.usable)
    assert all("secret" not in finding.message for finding in verdict.findings)


def test_everything_is_said_at_once() -> None:
    expired = made("qinling", ec_key(4), by=OTHER, days=(-9, -1), usages=[ExtendedKeyUsageOID.SERVER_AUTH])
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
        ({}, 301, [f"{CERT}: the certificate expires on 2031-04-11 12:00 UTC, in 300 days; renew it before"]),
        (
            {"ca": made("kubernetes", ec_key(0), ca=True, days=(-1, 5)).pem},
            30,
            [f'{CA}: the CA "CN=kubernetes" expires on 2030-06-20 12:00 UTC, in 5 days; renew it before'],
        ),
        (
            {"ca": ROOT.pem + made("old", ec_key(1), ca=True, days=(-9, -5)).pem},
            30,
            [f'{CA}: the CA "CN=old" expired on 2030-06-10 12:00 UTC; it may be taken out of the file'],
        ),
        ({"ca": ROOT.pem + made("next", ec_key(1), ca=True, days=(5, 9)).pem}, 30, []),
    ],
)
def test_warnings_come_with_a_date(files: dict[str, bytes], days: int, warnings: list[str]) -> None:
    verdict = examine(**files, warn_days=days)
    assert (verdict.findings, verdict.warnings) == ([], warnings)
    assert set(verdict.usable) == {"ca", "certificate", "key"}


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda: certificates.names_in(made("s", ec_key(1), names=[x509.DNSName("a.b")]).certificate), ["a.b"]),
        (
            lambda: certificates.names_in(
                made("s", ec_key(1), names=[x509.DNSName("a"), x509.IPAddress(ipaddress.ip_address("::1"))]).certificate
            ),
            ["a", "::1"],
        ),
        (lambda: certificates.names_in(LEAF.certificate), []),
        (
            lambda: [certificates.subject(one) for one in certificates.load_all((ROOT.pem + OTHER.pem).decode())],
            ["CN=kubernetes", "CN=another"],
        ),
    ],
)
def test_what_a_server_presents_is_read(ask: Callable[[], list[str]], answer: list[str]) -> None:
    assert ask() == answer

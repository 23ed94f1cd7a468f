# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Examine the files of a client certificate: CA, certificate and private key.

All functions are pure: they take bytes and a point in time, and no message quotes a file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, missing_package

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    # The message for actions that need certificates, if the library is missing.
    MISSING_LIBRARY = ""
except ImportError as error:
    MISSING_LIBRARY = missing_package("cryptography", error)

# Kolla's file names by role of the file.
NAMES = {"ca": "kubernetes_ca.crt", "certificate": "kubernetes.crt", "key": "kubernetes.key"}
_WORDS = {"ca": "the CA certificate", "certificate": "the client certificate", "key": "the private key"}

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_KEYS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY"})
_MINIMUM_RSA = 2048


@dataclass(frozen=True)
class File:
    """One of the three files: its path, and its content or the reason why it cannot be read."""

    path: str
    content: bytes | None = None
    problem: str = ""


@dataclass
class Verdict:
    """The result of an examination; `usable` has the texts of valid files by role, which the host may use."""

    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    usable: dict[str, str] = field(default_factory=dict)
    user: str = ""
    expires: datetime | None = None


def examine(files: Mapping[str, File], now: datetime, warn_days: int) -> Verdict:
    """Return all problems of the files (by `ca`, `certificate` and `key`).

    A certificate that expires in less than `warn_days` causes a warning.
    """
    verdict = Verdict()
    authorities = _certificates("ca", files["ca"], verdict)
    chain = _certificates("certificate", files["certificate"], verdict)
    key = _private_key(files["key"], verdict)

    before = len(verdict.findings)
    _examine_authorities(files["ca"].path, authorities, chain, now, warn_days, verdict)
    if authorities and len(verdict.findings) == before:
        verdict.usable["ca"] = _text(files["ca"])
    before = len(verdict.findings)
    if chain:
        _examine_leaf(files["certificate"].path, chain, now, warn_days, verdict)
        if authorities:
            _examine_chain(files, chain, authorities, now, verdict)
    if chain and key:
        _examine_pair(files, chain, key, verdict)
        if len(verdict.findings) == before:
            verdict.usable["certificate"] = _text(files["certificate"])
            verdict.usable["key"] = _text(files["key"])
    return verdict


def _text(file: File) -> str:
    return (file.content or b"").decode("utf-8", "replace")


# --- one file -------------------------------------------------------------------------------------------------------


def _certificates(role: str, file: File, verdict: Verdict) -> list[x509.Certificate]:
    """Return the certificates of a file; a problem is added to the verdict."""
    problem = _form_problem(role, file)
    certificates: list[x509.Certificate] = []
    if not problem:
        for label, block in _blocks(file.content or b""):
            if label not in _CERTIFICATES:
                continue
            try:
                certificates.append(x509.load_pem_x509_certificate(block))
            except (ValueError, UnsupportedAlgorithm):
                problem = (
                    f"certificate number {len(certificates) + 1} in it is damaged: its content is not a "
                    "certificate; copy the complete file again"
                )
                break
    if problem:
        verdict.findings.append(Finding(file.path, 0, problem))
        return []
    return certificates


def _private_key(file: File, verdict: Verdict) -> PrivateKey | None:
    """Return the private key of a file; a problem is added to the verdict."""
    problem = _form_problem("key", file)
    if not problem:
        block = next(block for label, block in _blocks(file.content or b"") if label in _KEYS)
        try:
            key: Any = serialization.load_pem_private_key(block, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            problem = "the private key in it is damaged: its content is not a key; copy the complete file again"
        else:
            if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
                problem = (
                    f"is a key of a type that Kubernetes does not support ({type(key).__name__.strip('_')}); "
                    "expected RSA, EC or Ed25519"
                )
            elif isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MINIMUM_RSA:
                problem = (
                    f"is an RSA key of {key.key_size} bits, which TLS libraries refuse; "
                    f"expected at least {_MINIMUM_RSA} bits"
                )
            else:
                return key
    verdict.findings.append(Finding(file.path, 0, problem))
    return None


def _blocks(content: bytes) -> list[tuple[str, bytes]]:
    """Return the blocks of a PEM file, each as label and text."""
    return [(match[1].decode(), match[0]) for match in _BLOCK.finditer(content)]


def _form_problem(role: str, file: File) -> str:
    """Return the problem of a file's format (not of its certificates), or an empty string."""
    expected = _WORDS[role]
    if file.content is None:
        return file.problem or f"does not exist; expected {expected}"
    content = file.content
    if not content.strip():
        return f"is empty; expected {expected} in PEM format"
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return "has a byte order mark, which some Windows tools write; save it as plain ASCII"
    begun = [match[1].decode() for match in _BEGIN.finditer(content)]
    whole = [label for label, _block in _blocks(content)]
    if not begun:
        return _not_pem(role, content)
    if len(begun) > len(whole):
        missing = next(label for label in begun if begun.count(label) > whole.count(label))
        return f'is truncated: "BEGIN {missing}" has no "END {missing}"; copy the complete file again'
    keys = [label for label in whole if label in _KEYS or label == "OPENSSH PRIVATE KEY"]
    certificates = [label for label in whole if label in _CERTIFICATES]
    if role == "key":
        return _key_problem(content, whole, keys)
    if not certificates and keys:
        return f"contains a private key; expected {expected}; are the files swapped?"
    if keys:
        return f"contains a private key in addition to {expected}; leave only certificates in this file"
    if not certificates:
        if "CERTIFICATE REQUEST" in whole or "NEW CERTIFICATE REQUEST" in whole:
            return f"is a certificate signing request (CSR); expected {expected}; let the CA sign it"
        return f'contains {", ".join(sorted(set(whole)))}; expected {expected} ("BEGIN CERTIFICATE")'
    return ""


def _key_problem(content: bytes, whole: list[str], keys: list[str]) -> str:
    convert = "openssl pkey -in OLD -out NEW"
    if not keys:
        if any(label in _CERTIFICATES for label in whole):
            return "contains a certificate; expected the private key; are the files swapped?"
        if any(label.endswith("PUBLIC KEY") for label in whole):
            return "is a public key; expected the private key"
        return f'contains {", ".join(sorted(set(whole)))}; expected the private key ("BEGIN PRIVATE KEY")'
    if "OPENSSH PRIVATE KEY" in keys:
        return "is in OpenSSH's format; convert a copy with: ssh-keygen -p -m PKCS8 -N '' -f COPY"
    if "ENCRYPTED PRIVATE KEY" in keys or b"Proc-Type: 4,ENCRYPTED" in content:
        return (
            f"is protected with a passphrase, which the engine cannot enter; decrypt it with: {convert} "
            "(and protect it with ansible-vault encrypt instead)"
        )
    if len(keys) > 1:
        return f"contains {len(keys)} private keys; leave only the one that belongs to the certificate"
    return ""


def _not_pem(role: str, content: bytes) -> str:
    """Return the format of a file without a PEM block, and how to convert it."""
    expected = _WORDS[role]
    if content.startswith(b"$ANSIBLE_VAULT"):
        return "is encrypted with ansible-vault; set the password (--vault-password-file or --ask-vault-pass)"
    der = _der_kind(content)
    if der == "certificate":
        mixed = "" if role != "key" else ", and is a certificate instead of the private key"
        return f"is in DER format{mixed}; expected PEM; convert it with: openssl x509 -inform der -in OLD -out NEW"
    if der == "key":
        mixed = "" if role == "key" else f", and is a private key instead of {expected}"
        return f"is in DER format{mixed}; expected PEM; convert it with: openssl pkey -inform der -in OLD -out NEW"
    if der == "bundle":
        part = "-nocerts -noenc" if role == "key" else "-cacerts -nokeys" if role == "ca" else "-clcerts -nokeys"
        return f"is a PKCS#12 bundle (.p12, .pfx); extract the PEM with: openssl pkcs12 -in OLD {part} -out NEW"
    if re.search(rb"^kind:\s*Config\s*$", content, re.MULTILINE):
        field_name = {
            "ca": "certificate-authority-data",
            "certificate": "client-certificate-data",
            "key": "client-key-data",
        }[role]
        return f"is a kubeconfig; expected {expected}; decode its {field_name} with: base64 -d"
    try:
        decoded = base64.b64decode(b"".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if b"-----BEGIN " in decoded:
        return "is encoded in base64 again, as in kubeconfig files; decode it with: base64 -d OLD > NEW"
    return f"is not a PEM file (it has no -----BEGIN); expected {expected}"


def _der_kind(content: bytes) -> str:
    """Return the kind of DER data: `certificate`, `key`, `bundle` (PKCS#12), or an empty string."""
    if not content.startswith(b"\x30"):
        return ""
    try:
        x509.load_der_x509_certificate(content)
    except (ValueError, UnsupportedAlgorithm):
        pass
    else:
        return "certificate"
    try:
        serialization.load_der_private_key(content, None)
    except (ValueError, UnsupportedAlgorithm):
        # A PKCS#12 file starts with its version, 3, and names PKCS#7's data type next (RFC 7292, 4).
        return "bundle" if b"\x02\x01\x03\x30" in content[:16] else ""
    except TypeError:
        return "key"  # It has a passphrase.
    return "key"


# --- contents of certificates ---------------------------------------------------------------------------------------


def subject(certificate: x509.Certificate) -> str:
    """Return the subject of a certificate as text."""
    return certificate.subject.rfc4514_string() or "(no name)"


def issuer(certificate: x509.Certificate) -> str:
    """Return the issuer of a certificate as text."""
    return certificate.issuer.rfc4514_string() or "(no name)"


def day(moment: datetime) -> str:
    """Return a point in time in UTC as text."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name of a certificate (Kubernetes' user name), or an empty string."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value).strip() if names else ""


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    return bool(constraints and constraints.ca) and (usage is None or usage.key_cert_sign)


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether a CA signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def path_to(
    leaf: x509.Certificate, between: Iterable[x509.Certificate], roots: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the chain from a certificate's issuer to a trusted CA in `roots`, or an empty list.

    `between` are the intermediate CAs.
    """
    trusted, others = list(roots), list(between)
    for root in trusted:
        if issued(leaf, root):
            return [root]
    for step in others:
        if step != leaf and issued(leaf, step):
            rest = path_to(step, [other for other in others if other != step], trusted)
            if rest:
                return [step, *rest]
    return []


def _examine_validity(
    what: str, path: str, certificate: x509.Certificate, now: datetime, warn_days: int, verdict: Verdict
) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        verdict.findings.append(
            Finding(
                path, 0, f"{what} is not valid before {day(start)}, and now is {day(now)}; wait, or correct the clock"
            )
        )
    elif now >= end:
        verdict.findings.append(Finding(path, 0, f"{what} expired on {day(end)}; replace it"))
    elif end - now < timedelta(days=warn_days):
        verdict.warnings.append(f"{path}: {what} expires on {day(end)}, in {(end - now).days} days; renew it")


def _examine_authorities(
    path: str,
    authorities: list[x509.Certificate],
    chain: list[x509.Certificate],
    now: datetime,
    warn_days: int,
    verdict: Verdict,
) -> None:
    """Check that every certificate of the CA file is a CA, and that those in use are valid."""
    used = path_to(chain[0], chain[1:], authorities) if chain else []
    for certificate in authorities:
        what = f'the CA "{subject(certificate)}"'
        if not _is_authority(certificate):
            verdict.findings.append(
                Finding(
                    path,
                    0,
                    f'"{subject(certificate)}" is not a CA certificate (no CA:TRUE); are the files swapped?',
                )
            )
        elif certificate in used or len(authorities) == 1:
            _examine_validity(what, path, certificate, now, warn_days, verdict)
        elif now >= certificate.not_valid_after_utc:
            verdict.warnings.append(
                f"{path}: {what} expired on {day(certificate.not_valid_after_utc)}; it may be removed from the file"
            )


def _examine_leaf(path: str, chain: list[x509.Certificate], now: datetime, warn_days: int, verdict: Verdict) -> None:
    leaf = chain[0]
    verdict.user, verdict.expires = common_name(leaf), leaf.not_valid_after_utc
    _examine_validity("the certificate", path, leaf, now, warn_days, verdict)
    if not verdict.user:
        verdict.findings.append(
            Finding(path, 0, "the certificate has no common name (CN), which Kubernetes uses as the user name")
        )
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        usage
    ):
        # The library's public identifiers of usages are numeric.
        words = ", ".join(sorted(getattr(item, "_name", item.dotted_string) for item in usage))
        verdict.findings.append(
            Finding(
                path,
                0,
                f"the certificate is not a client certificate: its extended key usage is {words}; expected clientAuth",
            )
        )
    algorithm = leaf.signature_hash_algorithm
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        verdict.findings.append(
            Finding(
                path,
                0,
                (
                    f"the certificate is signed with {algorithm.name.upper()}, which API servers refuse; "
                    "expected SHA-256"
                ),
            )
        )


def _examine_chain(
    files: Mapping[str, File],
    chain: list[x509.Certificate],
    authorities: list[x509.Certificate],
    now: datetime,
    verdict: Verdict,
) -> None:
    path, ca_path, leaf = files["certificate"].path, files["ca"].path, chain[0]
    if leaf in authorities:
        if _is_authority(leaf):
            verdict.findings.append(
                Finding(path, 0, f"is the same certificate as {ca_path}; expected a certificate signed by this CA")
            )
        return
    trust_path = path_to(leaf, chain[1:], authorities)
    for step in trust_path[:-1]:
        if not _is_authority(step):
            verdict.findings.append(
                Finding(path, 0, f'the intermediate certificate "{subject(step)}" in it is not a CA (no CA:TRUE)')
            )
        else:
            _examine_validity(f'the intermediate CA "{subject(step)}" in it', path, step, now, 0, verdict)
    if trust_path:
        return
    # The signer of the last certificate in the file's own chain is missing.
    last, rest = leaf, chain[1:]
    while further := next((step for step in rest if issued(last, step)), None):
        last, rest = further, [step for step in rest if step != further]
    held = "; ".join(f'"{subject(authority)}"' for authority in authorities)
    if any(authority.subject == last.issuer for authority in authorities):
        message = (
            f'is not signed by the CA in {ca_path}: the CA "{issuer(last)}" in it has another key, '
            "so one of the two files is from another cluster or older than its CA; fetch both again"
        )
    elif last.issuer == last.subject:
        message = f'is self-signed ("{subject(last)}"); expected a certificate signed by the CA in {ca_path} ({held})'
    else:
        message = (
            f'is signed by "{issuer(last)}", but {ca_path} contains {held}; expected certificates of the same cluster '
            "(append an intermediate CA to the file of the certificate; "
            "if the cluster has a separate CA for clients, append it to the CA file)"
        )
    verdict.findings.append(Finding(path, 0, message))


def _examine_pair(files: Mapping[str, File], chain: list[x509.Certificate], key: PrivateKey, verdict: Verdict) -> None:
    path, certificate_path, public_key = files["key"].path, files["certificate"].path, key.public_key()
    if _same_key(chain[0], public_key):
        return
    for number, certificate in enumerate(chain[1:], start=2):
        if _same_key(certificate, public_key):
            message = (
                f"the key belongs to certificate number {number} in {certificate_path}, "
                "which must be the first in the file"
            )
            break
    else:
        message = (
            f"does not belong to {certificate_path}: it is {_kind(public_key)}, and the certificate is for another key "
            f"({_kind(chain[0].public_key())}); expected a matching pair"
        )
    verdict.findings.append(Finding(path, 0, message))


def _same_key(certificate: x509.Certificate, key: Any) -> bool:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return bool(certificate.public_key().public_bytes(*form) == key.public_bytes(*form))


def _kind(key: Any) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.strip("_").removesuffix("PublicKey")


# --- server certificates --------------------------------------------------------------------------------------------


def names_in(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a server's certificate is valid for."""
    alternatives = _extension(certificate, x509.SubjectAlternativeName)
    if alternatives is None:
        return []
    return [
        *alternatives.get_values_for_type(x509.DNSName),
        *(str(address) for address in alternatives.get_values_for_type(x509.IPAddress)),
    ]


def load_all(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text. Raise ValueError if one is invalid."""
    return [x509.load_pem_x509_certificate(block) for label, block in _blocks(text.encode()) if label in _CERTIFICATES]

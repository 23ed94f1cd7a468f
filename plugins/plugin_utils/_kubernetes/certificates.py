# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Tells what is wrong with the files of a client certificate: CA, certificate and private key.

Functions of bytes and a point in time; nothing here reads a file, and no message quotes one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# What a file may be for, and the name that Kolla has for it.
NAMES = {"ca": "kubernetes_ca.crt", "certificate": "kubernetes.crt", "key": "kubernetes.key"}
_WORDS = {"ca": "the CA certificate", "certificate": "the client certificate", "key": "the private key"}

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_KEYS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY"})
_MINIMUM_RSA = 2048

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class File:
    """One of the three files: its path, and its content or the reason why there is none."""

    path: str
    content: bytes | None = None
    problem: str = ""


@dataclass
class Verdict:
    """What was found; `usable` are the texts that may be handed to the host, by what they are for."""

    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    usable: dict[str, str] = field(default_factory=dict)
    user: str = ""
    expires: datetime | None = None


def examine(files: Mapping[str, File], now: datetime, warn_days: int) -> Verdict:
    """Takes the files (by `ca`, `certificate` and `key`), the time, the days of warning; returns all that is wrong."""
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
    """Takes a file that has to hold certificates, returns them; what it is instead goes into the verdict."""
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
                    f"certificate number {len(certificates) + 1} in it is damaged: its lines are not those of a "
                    "certificate; copy the file again, whole"
                )
                break
    if problem:
        verdict.findings.append(Finding(file.path, 0, problem))
        return []
    return certificates


def _private_key(file: File, verdict: Verdict) -> PrivateKey | None:
    """Takes the file that has to hold the private key, returns the key; what it is instead goes into the verdict."""
    problem = _form_problem("key", file)
    if not problem:
        block = next(block for label, block in _blocks(file.content or b"") if label in _KEYS)
        try:
            key: Any = serialization.load_pem_private_key(block, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            problem = "the private key in it is damaged: its lines are not those of a key; copy the file again, whole"
        else:
            if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
                problem = (
                    f"is a key of a kind that Kubernetes does not take ({type(key).__name__.strip('_')}); "
                    "RSA, EC and Ed25519 serve"
                )
            elif isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MINIMUM_RSA:
                problem = (
                    f"is an RSA key of {key.key_size} bits, which TLS libraries "
                    f"refuse; at least {_MINIMUM_RSA} are needed"
                )
            else:
                return key
    verdict.findings.append(Finding(file.path, 0, problem))
    return None


def _blocks(content: bytes) -> list[tuple[str, bytes]]:
    """Takes a PEM file, returns its blocks, each as label and text."""
    return [(match[1].decode(), match[0]) for match in _BLOCK.finditer(content)]


def _form_problem(role: str, file: File) -> str:
    """Takes a file, returns what is wrong with its form (not with what its certificates say), or nothing."""
    wanted = _WORDS[role]
    if file.content is None:
        return file.problem or f"is not there; {wanted} is expected"
    content = file.content
    if not content.strip():
        return f"is empty; {wanted} is expected in PEM form"
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return "is text with a byte order mark, as some Windows tools write it; save it as plain ASCII"
    begun = [match[1].decode() for match in _BEGIN.finditer(content)]
    whole = [label for label, _ in _blocks(content)]
    if not begun:
        return _not_pem(role, content)
    if len(begun) > len(whole):
        missing = next(label for label in begun if begun.count(label) > whole.count(label))
        return f'is cut off: "BEGIN {missing}" has no "END {missing}"; copy the file again, whole'
    keys = [label for label in whole if label in _KEYS or label == "OPENSSH PRIVATE KEY"]
    certificates = [label for label in whole if label in _CERTIFICATES]
    if role == "key":
        return _key_problem(content, whole, keys)
    if not certificates and keys:
        return f"holds a private key where {wanted} is expected; are the files mixed up?"
    if keys:
        return f"holds a private key beside {wanted}; leave only certificates in this file"
    if not certificates:
        if "CERTIFICATE REQUEST" in whole or "NEW CERTIFICATE REQUEST" in whole:
            return f"is a request for a certificate (CSR), not {wanted}; have it signed and put the answer here"
        return f'holds {", ".join(sorted(set(whole)))} where {wanted} ("BEGIN CERTIFICATE") is expected'
    return ""


def _key_problem(content: bytes, whole: list[str], keys: list[str]) -> str:
    convert = "openssl pkey -in OLD -out NEW"
    if not keys:
        if any(label in _CERTIFICATES for label in whole):
            return "holds a certificate where the private key is expected; are the files mixed up?"
        if any(label.endswith("PUBLIC KEY") for label in whole):
            return "is a public key; the private key is expected"
        return f'holds {", ".join(sorted(set(whole)))} where the private key ("BEGIN PRIVATE KEY") is expected'
    if "OPENSSH PRIVATE KEY" in keys:
        return "is in OpenSSH's own form; convert a copy with: ssh-keygen -p -m PKCS8 -N '' -f COPY"
    if "ENCRYPTED PRIVATE KEY" in keys or b"Proc-Type: 4,ENCRYPTED" in content:
        return (
            f"is protected with a passphrase, which the engine can not type; decrypt it with: {convert} "
            "(and protect it with ansible-vault encrypt instead)"
        )
    if len(keys) > 1:
        return f"holds {len(keys)} private keys; leave only the one that belongs to the certificate"
    return ""


def _not_pem(role: str, content: bytes) -> str:
    """Takes a file without any PEM block, returns what it is and how it becomes one."""
    wanted = _WORDS[role]
    if content.startswith(b"$ANSIBLE_VAULT"):
        return "is encrypted with ansible-vault; give the password (--vault-password-file or --ask-vault-pass)"
    der = _der_kind(content)
    if der == "certificate":
        mixed = "" if role != "key" else ", and is a certificate where the private key is expected"
        return f"is in DER form{mixed}; PEM is expected, convert it with: openssl x509 -inform der -in OLD -out NEW"
    if der == "key":
        mixed = "" if role == "key" else f", and is a private key where {wanted} is expected"
        return f"is in DER form{mixed}; PEM is expected, convert it with: openssl pkey -inform der -in OLD -out NEW"
    if der == "bundle":
        part = "-nocerts -noenc" if role == "key" else "-cacerts -nokeys" if role == "ca" else "-clcerts -nokeys"
        return f"is a PKCS#12 bundle (.p12, .pfx); take the PEM out with: openssl pkcs12 -in OLD {part} -out NEW"
    if re.search(rb"^kind:\s*Config\s*$", content, re.MULTILINE):
        field_name = {
            "ca": "certificate-authority-data",
            "certificate": "client-certificate-data",
            "key": "client-key-data",
        }[role]
        return f"is a kubeconfig; {wanted} is what its {field_name} gives after: base64 -d"
    try:
        decoded = base64.b64decode(b"".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if b"-----BEGIN " in decoded:
        return "is encoded in base64 once more, as kubeconfig files hold it; decode it with: base64 -d OLD > NEW"
    return f"is not a PEM file (nothing in it starts with -----BEGIN); {wanted} is expected"


def _der_kind(content: bytes) -> str:
    """Takes bytes, returns which kind of DER they are: `certificate`, `key`, `bundle` (PKCS#12), or nothing."""
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
        return "key"  # It wants a passphrase.
    return "key"


# --- what the certificates say --------------------------------------------------------------------------------------


def subject(certificate: x509.Certificate) -> str:
    """Takes a certificate, returns its subject as text."""
    return certificate.subject.rfc4514_string() or "(no name)"


def issuer(certificate: x509.Certificate) -> str:
    """Takes a certificate, returns its issuer as text."""
    return certificate.issuer.rfc4514_string() or "(no name)"


def day(moment: datetime) -> str:
    """Takes a point in time in UTC, returns it for a reader."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def common_name(certificate: x509.Certificate) -> str:
    """Takes a certificate, returns its common name, which is the user's name in Kubernetes, or nothing."""
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
    """Takes a certificate and a CA's, returns whether the CA signed it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def path_to(
    leaf: x509.Certificate, between: Iterable[x509.Certificate], roots: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """Takes a certificate, intermediate and trusted CAs; returns the way from its issuer to a trusted one, or none."""
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
                path, 0, f"{what} is not valid before {day(start)}, and now is {day(now)}; wait, or set the clock right"
            )
        )
    elif now >= end:
        verdict.findings.append(Finding(path, 0, f"{what} expired on {day(end)}; put a new one there"))
    elif end - now < timedelta(days=warn_days):
        verdict.warnings.append(f"{path}: {what} expires on {day(end)}, in {(end - now).days} days; renew it before")


def _examine_authorities(
    path: str,
    authorities: list[x509.Certificate],
    chain: list[x509.Certificate],
    now: datetime,
    warn_days: int,
    verdict: Verdict,
) -> None:
    """Every certificate of the CA file has to be a CA; of several, only those in use have to be valid now."""
    used = path_to(chain[0], chain[1:], authorities) if chain else []
    for certificate in authorities:
        what = f'the CA "{subject(certificate)}"'
        if not _is_authority(certificate):
            verdict.findings.append(
                Finding(
                    path,
                    0,
                    f'"{subject(certificate)}" is not the certificate of a CA (no CA:TRUE); are the files mixed up?',
                )
            )
        elif certificate in used or len(authorities) == 1:
            _examine_validity(what, path, certificate, now, warn_days, verdict)
        elif now >= certificate.not_valid_after_utc:
            verdict.warnings.append(
                f"{path}: {what} expired on {day(certificate.not_valid_after_utc)}; it may be taken out of the file"
            )


def _examine_leaf(path: str, chain: list[x509.Certificate], now: datetime, warn_days: int, verdict: Verdict) -> None:
    leaf = chain[0]
    verdict.user, verdict.expires = common_name(leaf), leaf.not_valid_after_utc
    _examine_validity("the certificate", path, leaf, now, warn_days, verdict)
    if not verdict.user:
        verdict.findings.append(
            Finding(path, 0, "the certificate has no common name (CN), which Kubernetes takes as the user's name")
        )
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        usage
    ):
        # The library's public names for usages are numbers alone.
        words = ", ".join(sorted(getattr(item, "_name", item.dotted_string) for item in usage))
        verdict.findings.append(
            Finding(
                path, 0, f"the certificate is not for clients: its extended key usage is {words}, clientAuth is missing"
            )
        )
    algorithm = leaf.signature_hash_algorithm
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        verdict.findings.append(
            Finding(
                path,
                0,
                (
                    f"the certificate is signed with {algorithm.name.upper()}, which API "
                    "servers refuse; have it signed with SHA-256"
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
                Finding(
                    path, 0, f"is the same certificate as {ca_path}; the certificate that this CA signed is expected"
                )
            )
        return
    way = path_to(leaf, chain[1:], authorities)
    for step in way[:-1]:
        if not _is_authority(step):
            verdict.findings.append(
                Finding(
                    path, 0, f'the intermediate certificate "{subject(step)}" in it is not that of a CA (no CA:TRUE)'
                )
            )
        else:
            _examine_validity(f'the intermediate CA "{subject(step)}" in it', path, step, now, 0, verdict)
    if way:
        return
    # The last certificate that the file itself can lead to is the one whose signer is missing.
    last, rest = leaf, chain[1:]
    while further := next((step for step in rest if issued(last, step)), None):
        last, rest = further, [step for step in rest if step != further]
    held = "; ".join(f'"{subject(authority)}"' for authority in authorities)
    if any(authority.subject == last.issuer for authority in authorities):
        message = (
            f'is not signed by the CA in {ca_path}: a CA named "{issuer(last)}" is there, but with another key, '
            "so one of the two files is of another cluster or from before its CA was renewed; fetch both again"
        )
    elif last.issuer == last.subject:
        message = (
            f'is signed by itself ("{subject(last)}"), not by the CA in {ca_path} ({held}); '
            "have the cluster's CA sign a certificate"
        )
    else:
        message = (
            f'is signed by "{issuer(last)}", but {ca_path} holds {held}; put certificates of the same cluster there '
            "(a CA between the two belongs after the certificate in its file; "
            "where the cluster signs clients with a CA of "
            "their own, append that one to the CA file)"
        )
    verdict.findings.append(Finding(path, 0, message))


def _examine_pair(files: Mapping[str, File], chain: list[x509.Certificate], key: PrivateKey, verdict: Verdict) -> None:
    path, certificate_path, wanted = files["key"].path, files["certificate"].path, key.public_key()
    if _same_key(chain[0], wanted):
        return
    for number, certificate in enumerate(chain[1:], start=2):
        if _same_key(certificate, wanted):
            message = (
                f"its key belongs to certificate number {number} in {certificate_path}; "
                "that one has to be the first there"
            )
            break
    else:
        message = (
            f"does not belong to {certificate_path}: it is {_kind(wanted)}, and the certificate is for another key "
            f"({_kind(chain[0].public_key())}); put the two that were made together there"
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


# --- what a server presents -----------------------------------------------------------------------------------------


def names_in(certificate: x509.Certificate) -> list[str]:
    """Takes a server's certificate, returns the names and addresses it is valid for."""
    alternatives = _extension(certificate, x509.SubjectAlternativeName)
    if alternatives is None:
        return []
    return [
        *alternatives.get_values_for_type(x509.DNSName),
        *(str(address) for address in alternatives.get_values_for_type(x509.IPAddress)),
    ]


def load_all(text: str) -> list[x509.Certificate]:
    """Takes the text of a sound PEM file, returns its certificates."""
    return [x509.load_pem_x509_certificate(block) for label, block in _blocks(text.encode()) if label in _CERTIFICATES]

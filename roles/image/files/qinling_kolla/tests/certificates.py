# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, generated on use."""

import datetime
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)


def issue(name: Any, key: Any, issuer: Any, issuer_key: Any, ca: Any) -> Any:
    """Return a certificate without key identifiers, which VERIFY_X509_STRICT refuses."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write(folder: Any) -> Any:
    """Write the files of a CA, of another CA of the same name, and of a server's or client's certificate."""
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "other", "server")}
    for name in ("ca", "other"):
        (folder / f"{name}.crt").write_bytes(issue("cluster", keys[name], "cluster", keys[name], ca=True))
    (folder / "server.crt").write_bytes(issue("apiserver", keys["server"], "cluster", keys["ca"], ca=False))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(keys["server"].private_bytes(*plain))
    return folder

# SPDX-License-Identifier: Apache-2.0
"""The module kubernetes_probe with valid and broken servers, over real TLS."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.modules import kubernetes_probe
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
REQUIRED = [{"verb": "get", "resource": "pods"}, {"verb": "create", "resource": "pods"}]


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    del name
    return ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(
    name: str, signer: str, ca: bool = False, host: str = "", days: int = 9, strict: bool = True
) -> x509.Certificate:
    public, signing = key(name).public_key(), key(signer)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=20))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    if strict:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(signing, hashes.SHA256())


def pem(signed: x509.Certificate) -> str:
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(name: str) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key(name).private_bytes(*form).decode()


CA = pem(certificate("ca", "ca", ca=True))
OTHER = pem(certificate("other", "other", ca=True))


class Handler(http.server.BaseHTTPRequestHandler):
    """A minimal API server; `server.responses` replaces responses by method."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.answer(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.1"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(201, {"status": {"allowed": body["spec"]["resourceAttributes"]["verb"] in self.server.allowed}})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        peer = dict(field[0] for field in self.connection.getpeercert().get("subject", ()))  # type: ignore[attr-defined]
        self.server.requests.append((self.command, self.path, peer.get("commonName", "")))
        status, content = self.server.responses.get(self.command, (status, content))
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_arguments: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allowed = ("get", "create")

    def __init__(
        self, folder: Path, presented: x509.Certificate, trusted: str = CA, protocol: str = "HTTP/1.1"
    ) -> None:
        self.responses: dict[str, tuple[int, dict[str, Any]]] = {}
        self.requests: list[tuple[str, str, str]] = []
        super().__init__(("127.0.0.1", 0), type("H", (Handler,), {"protocol_version": protocol}))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = folder / "server.pem"
        path.write_text(pem(presented) + key_pem("apiserver"))
        self.context.load_cert_chain(path)
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.context.load_verify_locations(cadata=trusted)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread, so that a missing handshake does not block other connections.
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def observe(port: int, host: str = "localhost", ca: str = CA, client: str = "ca", path: str = "") -> dict[str, Any]:
    client_certificate = certificate("qinling", client) if client else None
    seen = kubernetes_probe.observe(
        {
            "kube_host": f"https://{host}:{port}{path}",
            "ca": ca,
            "certificate": pem(client_certificate) if client_certificate else "",
            "key": key_pem("qinling") if client_certificate else "",
            "access": REQUIRED,
            "timeout": 1.0,
        }
    )
    assert seen.pop("hostname") == socket.gethostname()
    return seen


VALID = {
    "status": 200,
    "message": "",
    "version": {"major": "1", "minor": "33", "gitVersion": "v1.33.1"},
    "denied": [],
}
GOOD = certificate("apiserver", "ca", host="localhost")


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/1.0"])
def test_version_and_permissions_are_requested(tmp_path: Path, protocol: str) -> None:
    with running(Server(tmp_path, GOOD, protocol=protocol)) as server:
        assert observe(server.server_port, path="/cluster/") == VALID
    reviews = ("POST", "/cluster/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "qinling")
    assert server.requests == [("GET", "/cluster/version", "qinling"), reviews, reviews]


def test_denied_permissions_are_returned(tmp_path: Path) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        server.allowed = ("get",)  # type: ignore[assignment]
        assert observe(server.server_port) == {**VALID, "denied": [REQUIRED[1]]}


@pytest.mark.parametrize(
    ("responses", "seen"),
    [
        ({"GET": (401, {"message": "Unauthorized"})}, {"status": 401, "message": "Unauthorized"}),
        ({"GET": (403, {"message": "no"})}, {"status": 403, "message": "no", "denied": []}),
        ({"GET": (200, {})}, {**VALID, "version": {"major": "", "minor": "", "gitVersion": ""}}),
        (
            {"POST": (403, {"message": "no"})},
            {key: value for key, value in VALID.items() if key != "denied"}
            | {"review_status": 403, "review_message": "no"},
        ),
    ],
)
def test_other_responses_are_distinguished(
    tmp_path: Path, responses: dict[str, tuple[int, dict[str, Any]]], seen: dict[str, Any]
) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        server.responses = responses
        assert observe(server.server_port) == seen


def test_untrusted_server_gets_no_request(tmp_path: Path) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        seen = observe(server.server_port, ca=OTHER)
    assert seen.pop("server_certificate")
    # The server also sends its CA, as OpenSSL does by default; otherwise the code would be 20.
    text = "self-signed certificate in certificate chain"
    assert seen == {"untrusted": {"code": 19, "text": text}}
    assert server.requests == []


def test_expired_server_certificate_is_reported(tmp_path: Path) -> None:
    with running(Server(tmp_path, certificate("apiserver", "ca", host="localhost", days=-1))) as server:
        seen = observe(server.server_port)
    assert seen["untrusted"] == {"code": 10, "text": "certificate has expired"}
    assert "status" not in seen


def test_name_mismatch_does_not_end_the_check(tmp_path: Path) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        seen = observe(server.server_port, host="127.0.0.1")
    assert seen.pop("server_certificate")
    assert seen == {"name_mismatch": True, **VALID}


def test_certificate_without_key_identifiers_is_accepted(tmp_path: Path) -> None:
    loose = certificate("apiserver", "ca", host="localhost", strict=False)
    with running(Server(tmp_path, loose)) as server:
        assert observe(server.server_port) == VALID


def test_rejected_client_certificate_is_reported(tmp_path: Path) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        seen = observe(server.server_port, client="other")
    assert seen["trouble"]["kind"] in {"rejected", "broken"}
    assert server.requests == []


def test_server_is_checked_without_a_client_certificate(tmp_path: Path) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        assert observe(server.server_port, client="") == {}
        assert observe(server.server_port, ca="", client="") == {}
    assert server.requests == []


def test_mismatched_key_is_reported(tmp_path: Path) -> None:
    with running(Server(tmp_path, GOOD)) as server:
        seen = kubernetes_probe.observe(
            {
                "kube_host": f"https://localhost:{server.server_port}",
                "ca": CA,
                "certificate": pem(certificate("qinling", "ca")),
                "key": key_pem("another"),
                "access": [],
                "timeout": 1.0,
            }
        )
    assert seen["trouble"]["kind"] == "unusable"


def test_key_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    real = ssl.SSLContext.load_cert_chain

    def spy(context: ssl.SSLContext, path: str) -> None:
        loaded.append(str(Path(path).readlink()))
        assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116 (the link's target is no path)
        real(context, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    kubernetes_probe.authenticate(ssl.create_default_context(), pem(certificate("qinling", "ca")), key_pem("qinling"))
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    # In memory, not on a file system.
    assert [name.split(":")[0] for name in loaded] == ["/memfd"]


@contextlib.contextmanager
def silent(backlog: int = 5) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener.getsockname()[1]


def test_silent_server_times_out() -> None:
    with silent() as port:
        assert observe(port)["trouble"] == {"kind": "timeout", "text": "during the TLS handshake"}


def test_server_without_tls_is_reported() -> None:
    plain_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=plain_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        assert observe(plain_server.server_port)["trouble"]["kind"] == "no-tls"
    finally:
        plain_server.shutdown()
        thread.join()
        plain_server.server_close()


def test_closed_port_is_reported() -> None:
    with silent() as port:
        pass
    assert observe(port)["trouble"]["kind"] == "refused"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), "unresolved"),
        (UnicodeError("label too long"), "unresolved"),
    ],
)
def test_unresolved_name_is_reported(monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str) -> None:
    def resolve(*_arguments: Any, **_options: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert observe(1)["trouble"]["kind"] == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [(OSError(113, "No route to host"), "unreachable"), (TimeoutError("timed out"), "timeout")],
)
def test_unreachable_host_is_reported(monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str) -> None:
    def connect(_socket: socket.socket, _address: Any) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "connect", connect)
    trouble = observe(6443)["trouble"]
    assert trouble["kind"] == kind
    assert "::1" in trouble["text"] or "127.0.0.1" in trouble["text"]

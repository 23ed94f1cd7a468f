# SPDX-License-Identifier: Apache-2.0
"""Verification of the API server's certificate."""

import contextlib
import http.server
import pathlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests
from oslo_config import cfg
from qinling import config as qinling_config

from qinling_kolla import config
from qinling_kolla.orchestrator import kubernetes, kubernetes_api, transport


class Version(http.server.BaseHTTPRequestHandler):
    """A fake API server that answers /version."""

    def do_GET(self) -> None:
        body = b'{"major": "1", "minor": "20"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: Any, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def server(pki: pathlib.Path) -> Iterator[str]:
    """Provide the address of a server with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Version) as httpd:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def configured(server: Any, ca: Any) -> Any:
    """Return a configuration that points the driver at a server, with a CA file."""
    conf = cfg.ConfigOpts()
    conf.register_opts(qinling_config.kubernetes_opts, "kubernetes")
    config.register(conf)
    conf([])
    for name, value in {"kube_host": server, "ssl_ca_cert": str(ca), "use_api_certificate": False}.items():
        conf.set_override(name, value, "kubernetes")
    return conf


@pytest.mark.parametrize(("ca", "trusted"), [("ca.crt", True), ("other.crt", False)])
def test_calls_verify_the_chain_but_not_strictly(pki: pathlib.Path, server: Any, ca: str, trusted: bool) -> None:
    expected = contextlib.nullcontext() if trusted else pytest.raises(kubernetes_api.Unavailable)
    with expected:
        assert kubernetes_api.Api(configured(server, pki / ca)).call("GET", "/version")["minor"] == "20"


@pytest.mark.parametrize(("ca", "trusted"), [("ca.crt", True), ("other.crt", False)])
def test_requests_to_workers_verify_the_chain(pki: pathlib.Path, server: Any, ca: str, trusted: bool) -> None:
    class Manager:
        conf = configured(server, pki / ca)

    class Adapter(kubernetes.PodAdapter):
        def resolve(self, url: str) -> Any:
            return transport.Target(f"{server}/version", verify=str(pki / ca))

        def not_reached(self, response: Any) -> bool:
            return False

        def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> Any:
            return transport.WorkerAdapter.send(self, request, *arguments, **options)

    session = requests.Session()
    session.mount("kubernetes://", Adapter(cast(Any, Manager())))
    expected = contextlib.nullcontext() if trusted else pytest.raises(requests.exceptions.SSLError)
    with expected:
        assert session.get("kubernetes://r/f/0/ping").json()["major"] == "1"

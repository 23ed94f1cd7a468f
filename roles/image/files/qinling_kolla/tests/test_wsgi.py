# SPDX-License-Identifier: Apache-2.0
"""Real gunicorn with a test application."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from oslo_config import cfg

from qinling_kolla import config, wsgi

# The application reports its process; it must not be built before the fork.
SERVER = """
import json, os, sys, threading, time
from oslo_config import cfg
from oslo_context import context
from oslo_log import log
from qinling_kolla import config, health, logs, wsgi

MASTER = os.getpid()
wsgi.HEARTBEAT_SECONDS = 2

def build(conf):
    built_in = os.getpid()

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/slow":
            time.sleep(float(environ["QUERY_STRING"]))
        if path == "/break":
            raise ValueError("broken")
        if "HTTP_X_USER_ID" in environ:
            # As in Qinling, when a request reaches the controllers.
            context.RequestContext.from_environ(environ)
        size = len(environ["wsgi.input"].read())
        answer = {"pid": os.getpid(), "built_in": built_in, "master": MASTER, "size": size,
                  "scheme": environ["wsgi.url_scheme"], "max": conf.api.max_package_size,
                  "script": environ["SCRIPT_NAME"]}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    limited = wsgi.BodyLimit(app, wsgi.body_limit(conf))
    return health.Middleware(limited, health.Health({"thing": lambda: None}))

# Qinling's own options of [api], without the slow import of Qinling.
conf = cfg.CONF
config.register(conf)
options = [cfg.StrOpt("host"), cfg.PortOpt("port"), cfg.IntOpt("api_workers"), cfg.BoolOpt("enable_ssl_api")]
conf.register_opts(options, "api")
log.register_options(conf)
conf(args=sys.argv[1:], project="qinling")
logs.setup(wsgi.SERVICE, conf)
wsgi.Server(conf, build).run()
"""


def free_port() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Api:
    """A server in its own process."""

    def __init__(self, folder: Any, workers: int = 1, threads: int = 4, extra: str = "") -> None:
        self.port = free_port()
        self.folder = folder
        self.unix_socket = folder / "api.sock"
        self.log = folder / "log" / "qinling-api.log"
        self.log.parent.mkdir()
        self.configure(
            f"[DEFAULT]\nlog_dir = {self.log.parent}\n[api]\nhost = 127.0.0.1\nport = {self.port}\n"
            f"unix_socket = {self.unix_socket}\napi_workers = {workers}\napi_threads = {threads}\n"
            f"graceful_timeout = 2\nmax_package_size = 1000\n{extra}"
        )
        self.stderr = folder / "stderr"
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, "--config-file", str(folder / "qinling.conf")], stderr=stderr
            )

    def configure(self, text: Any) -> None:
        (self.folder / "qinling.conf").write_text(text)

    def connection(self, timeout: int = 20) -> Any:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: Any, **kwargs: Any) -> tuple[Any, Any]:
        connection = self.connection()
        connection.request("GET", path, **kwargs)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    def wait(self) -> Any:
        until = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, self.stderr.read_text()
            with contextlib.suppress(OSError):
                if self.unix_socket.exists() and self.get("/healthcheck")[0] == 200:
                    return self
            assert time.monotonic() < until, self.stderr.read_text()
            time.sleep(0.1)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = Api(tmp_path_factory.mktemp("api"), workers=2)
    yield server.wait()
    server.end()


@pytest.fixture
def own_api(tmp_path: pathlib.Path) -> Iterator[Any]:
    servers = []

    def start(**kwargs: Any) -> Any:
        servers.append(Api(tmp_path, **kwargs))
        return servers[-1].wait()

    yield start
    for server in servers:
        server.end()


def test_each_worker_builds_its_own_application_after_the_fork(api: Any) -> None:
    answers = [json.loads(api.get("/")[1]) for _attempt in range(20)]
    for answer in answers:
        assert answer["pid"] == answer["built_in"] != answer["master"]


def test_unix_socket_is_open_to_all_users_and_serves_the_same(api: Any) -> None:
    assert stat.S_IMODE(api.unix_socket.stat().st_mode) == 0o666
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(api.unix_socket))
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).split()[1] == b"200"


def test_caller_cannot_set_script_name_or_scheme(api: Any) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(api.unix_socket))
        connection.sendall(b"GET /v1 HTTP/1.0\r\nSCRIPT_NAME: /v1\r\nX-Forwarded-Proto: https\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["script"] == ""
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["scheme"] == "http"


def test_context_is_logged_only_with_its_request(own_api: Any) -> None:
    server = own_api(workers=1, threads=1)
    known = {"X-User-Id": "user-of-one", "X-Project-Id": "project-of-one"}
    server.get("/known", headers=known)
    server.get("/anonymous")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"no http\r\n\r\n")
        connection.recv(1000)
    server.get("/last")
    lines = server.log.read_text().splitlines()
    named = [line for line in lines if "user-of-one" in line or "req-" in line]
    assert ["/known" in line for line in named] == [True], named
    assert any("Invalid" in line for line in lines)
    assert any("/anonymous" in line for line in lines)


def test_slow_requests_leave_threads_for_others(own_api: Any) -> None:
    server = own_api(workers=1, threads=2)
    started = time.monotonic()
    slow = threading.Thread(target=server.get, args=("/slow?2",))
    slow.start()
    time.sleep(0.2)
    assert server.get("/")[0] == 200
    assert time.monotonic() - started < 1.5
    slow.join()


def test_request_longer_than_the_heartbeat_keeps_its_worker(own_api: Any) -> None:
    server = own_api(workers=1, threads=1)
    before = json.loads(server.get("/")[1])["pid"]
    status, body = server.get("/slow?4.5")
    assert status == 200
    assert json.loads(body)["pid"] == before == json.loads(server.get("/")[1])["pid"]


def test_bodies_are_limited_and_need_a_length(api: Any) -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        ({"body": b"x" * (1000 + wsgi.FORM_BYTES)}, 200),
        ({"body": b"x" * (1001 + wsgi.FORM_BYTES)}, 413),
        ({"body": iter([b"x"]), "encode_chunked": True, "headers": {"Transfer-Encoding": "chunked"}}, 411),
    ]
    for kwargs, status in cases:
        connection = api.connection()
        connection.request("POST", "/", **kwargs)
        response = connection.getresponse()
        assert response.status == status
        assert (response.getheader("Connection") == "close") == (status != 200)
        body = json.loads(response.read())
        if status == 413:
            assert "max_package_size" in body["faultstring"]
        connection.close()


def test_access_log_goes_to_file_and_stderr_without_secrets(api: Any) -> None:
    api.get("/v1/webhooks/0b1b6c8e-hook/invoke?token=abc123", headers={"X-Auth-Token": "gAAAAsecret"})
    api.get("/break?token=abc123")
    for _attempt in range(50):
        text = api.log.read_text()
        if "/break" in text:
            break
        time.sleep(0.1)
    for log in (text, api.stderr.read_text()):
        assert '"GET /v1/webhooks/***/invoke" status: 200' in log
        assert "Error handling request /break" in log
        for secret in ("abc123", "gAAAA", "0b1b6c8e"):
            assert secret not in log
        assert "/healthcheck" not in log


def test_idle_server_ends_soon_after_sigterm_and_removes_its_socket(own_api: Any) -> None:
    server = own_api(workers=2)
    started = time.monotonic()
    server.process.terminate()
    assert server.process.wait(10) == 0
    assert time.monotonic() - started < 3.5
    assert not server.unix_socket.exists()


def test_endless_request_does_not_block_the_end(own_api: Any) -> None:
    server = own_api()
    connection = server.connection()
    connection.request("GET", "/slow?60")
    time.sleep(0.3)
    started = time.monotonic()
    server.process.terminate()
    server.process.wait(10)
    assert time.monotonic() - started < 5


def test_running_request_is_finished_at_sigterm(own_api: Any) -> None:
    server = own_api()
    answers = []
    request = threading.Thread(target=lambda: answers.append(server.get("/slow?1")))
    request.start()
    time.sleep(0.3)
    server.process.terminate()
    request.join()
    assert answers[0][0] == 200


def test_sighup_to_the_process_group_reloads_the_configuration(own_api: Any) -> None:
    server = own_api()
    before = json.loads(server.get("/")[1])
    assert before["max"] == 1000
    text = (server.folder / "qinling.conf").read_text()
    server.configure(text.replace("max_package_size = 1000", "max_package_size = 77"))
    os.kill(before["pid"], signal.SIGHUP)
    time.sleep(0.5)
    assert json.loads(server.get("/")[1]) == before
    server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 15
    answer = before
    while answer["max"] != 77:
        assert time.monotonic() < until
        time.sleep(0.1)
        # A connection that the old worker accepted but did not read may be reset.
        with contextlib.suppress(OSError):
            answer = json.loads(server.get("/")[1])
    assert answer["pid"] != before["pid"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port = ", "port = nonsense "),
        ("max_package_size = 1000", "max_package_size = much"),
        ("[api]", "[api\n"),
        ("[api]", "[api]\nenable_ssl_api = true"),
    ],
)
def test_sighup_with_an_invalid_configuration_keeps_the_old_one(own_api: Any, old: str, new: str) -> None:
    server = own_api()
    text = (server.folder / "qinling.conf").read_text()
    assert old in text
    server.configure(text.replace(old, new))
    server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 15
    while "The configuration was not reloaded" not in server.stderr.read_text():
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1.5)
    assert json.loads(server.get("/")[1])["max"] == 1000


def test_a_stale_socket_is_replaced(tmp_path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "api.sock"))
    server = Api(tmp_path)
    try:
        server.wait()
    finally:
        server.end()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True
    )
    return folder


def test_tls_on_the_port_but_not_on_the_unix_socket(tmp_path: pathlib.Path, certificate: Any) -> None:
    extra = f"enable_ssl_api = true\n[ssl]\ncert_file = {certificate}/cert.pem\nkey_file = {certificate}/key.pem\n"
    server = Api(tmp_path, extra=extra)
    try:
        until = time.monotonic() + 30
        while not server.unix_socket.exists() or stat.S_IMODE(server.unix_socket.stat().st_mode) != 0o666:
            assert time.monotonic() < until, server.stderr.read_text()
            time.sleep(0.1)
        context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
        connection.request("GET", "/")
        assert json.loads(connection.getresponse().read())["scheme"] == "https"
        connection.close()
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(20)
            plain.connect(str(server.unix_socket))
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert plain.recv(100).split()[1] == b"200"
    finally:
        server.end()


@pytest.mark.parametrize(
    ("host", "unix_socket", "expected"),
    [
        ("0.0.0.0", None, ["0.0.0.0:7070"]),
        ("0.0.0.0", "", ["0.0.0.0:7070"]),
        ("::1", "/run/q/api.sock", ["[::1]:7070", "unix:/run/q/api.sock"]),
        ("[::]", None, ["[::]:7070"]),
    ],
)
def test_listeners(host: str, unix_socket: str | None, expected: list[str]) -> None:
    assert wsgi.listeners(host, 7070, unix_socket) == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "[ssl] cert_file is not set"),
        ("cert_file = /nowhere/c.pem\nkey_file = /nowhere/k.pem", "[ssl] key_file: /nowhere/k.pem cannot be read"),
    ],
)
def test_tls_without_its_files_is_refused(tmp_path: pathlib.Path, lines: str, message: str) -> None:
    conf = cfg.ConfigOpts()
    config.register(conf)
    (tmp_path / "c").write_text(f"[ssl]\n{lines}\n")
    conf(args=["--config-file", str(tmp_path / "c")])
    with pytest.raises(RuntimeError) as caught:
        wsgi._tls_settings(conf)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("length", "transfer_encoding", "status"),
    [
        (None, None, None),
        ("", "", None),
        ("10", None, None),
        ("11", None, "413"),
        ("10", "identity", None),
        (None, "chunked", "411"),
        ("5", "gzip, Chunked", "411"),
    ],
)
def test_refusal(length: str | None, transfer_encoding: str | None, status: str | None) -> None:
    verdict = wsgi.refusal(length, transfer_encoding, 10)
    assert (verdict and verdict[0][:3]) == status

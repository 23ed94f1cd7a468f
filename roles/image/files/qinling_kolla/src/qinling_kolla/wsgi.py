# SPDX-License-Identifier: Apache-2.0
"""The API under gunicorn: threads in workers, each of which builds the application after its fork."""

import json
import logging
import os
import pathlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gunicorn.app.base import BaseApplication
from oslo_config import cfg

from qinling_kolla import health, jobs, logs

LOG = logging.getLogger(__name__)

SERVICE = "qinling-api"
# What a form may hold beside the package.
FORM_BYTES = 1 << 20
# Seconds without a heartbeat, which a worker gives however long its requests take.
HEARTBEAT_SECONDS = 90
KEEPALIVE_SECONDS = 65
MEMORY = "/dev/shm"  # gunicorn makes its files there safely

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class BodyLimit:
    """Refuses bodies that are too large, or that do not say how large they are, before anything reads them."""

    def __init__(self, app: Wsgi, limit: int) -> None:
        self._app = app
        self._limit = limit

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        verdict = refusal(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"), self._limit)
        if verdict is None:
            return self._app(environ, start_response)
        # A client that is still sending reads no answer, so some of what it sends is taken, then the connection closed.
        left = 2 * self._limit
        while left > 0 and (chunk := environ["wsgi.input"].read(min(left, 65536))):
            left -= len(chunk)
        status, message = verdict
        body = json.dumps({"faultstring": message}).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def refusal(length: str | None, transfer_encoding: str | None, limit: int) -> tuple[str, str] | None:
    """Return HTTP status and message for a body that is not taken, None for one that is.

    :param length: the request's Content-Length.
    :param transfer_encoding: the request's Transfer-Encoding.
    :param limit: the largest size taken.
    """
    if transfer_encoding and transfer_encoding.lower() != "identity":
        return "411 Length Required", "The request needs a Content-Length."
    if length and length.isdecimal() and int(length) > limit:
        message = f"The request is larger than the {limit} bytes that [api] max_package_size allows."
        return "413 Request Entity Too Large", message
    return None


def close_refused(limit: int) -> Callable[[Any, Any], None]:
    """Return gunicorn's ``pre_request`` hook by which it closes the connection instead of reading a refused body."""

    def pre_request(worker: Any, request: Any) -> None:
        headers = dict(request.headers)
        if refusal(headers.get("CONTENT-LENGTH"), headers.get("TRANSFER-ENCODING"), limit):
            request.force_close()

    return pre_request


class _TcpOnlyContext(ssl.SSLContext):
    """TLS for TCP connections; the unix socket, which never leaves the host, stays without."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
        if sock.family == socket.AF_UNIX:
            return sock
        return super().wrap_socket(sock, *args, **kwargs)


def tls_context(certfile: str, keyfile: str | None, ca_file: str | None) -> ssl.SSLContext:
    """Return the server's TLS context; with ``ca_file`` clients must show a certificate signed by it."""
    context = _TcpOnlyContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    if ca_file:
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listeners(host: str, port: int, unix_socket: str | None) -> list[str]:
    """Return gunicorn's ``bind`` for the addresses to listen on."""
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return [f"{shown}:{port}", *([f"unix:{unix_socket}"] if unix_socket else [])]


def settings(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """Return gunicorn's settings for Qinling's configuration; raises RuntimeError where files for TLS are missing."""
    workers = conf.api.api_workers
    if workers is None or workers < 1:
        workers = os.cpu_count() or 1
    result: dict[str, Any] = {
        "bind": listeners(conf.api.host, conf.api.port, conf.api.unix_socket),
        "worker_class": "gthread",
        "workers": workers,
        "threads": conf.api.api_threads,
        "preload_app": False,
        "timeout": HEARTBEAT_SECONDS,
        "graceful_timeout": conf.api.graceful_timeout,
        "keepalive": KEEPALIVE_SECONDS,
        "limit_request_line": 8190,
        "limit_request_fields": 100,
        # Tokens are headers.
        "limit_request_field_size": 16384,
        # Forwarding headers are for oslo.middleware to judge, and functions can send any over the unix socket.
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        "proc_name": SERVICE,
        "logger_class": logs.GunicornLogger,
        "accesslog": "-",
        "when_ready": open_unix_sockets,
        "pre_request": close_refused(body_limit(conf)),
        "post_request": lambda worker, request, environ, response: logs.forget_context(),
    }
    # Heartbeats are written to a file, which must never wait for a disk.
    if os.access(MEMORY, os.W_OK):
        result["worker_tmp_dir"] = MEMORY
    if conf.api.enable_ssl_api:
        result |= _tls_settings(conf)
    return result


def _tls_settings(conf: cfg.ConfigOpts) -> dict[str, Any]:
    certfile, keyfile, ca_file = conf.ssl.cert_file, conf.ssl.key_file, conf.ssl.ca_file
    problems = []
    if not certfile:
        problems.append("[ssl] cert_file is not set")
    for name, path in (("cert_file", certfile), ("key_file", keyfile), ("ca_file", ca_file)):
        if path and not os.access(path, os.R_OK):
            problems.append(f"[ssl] {name}: {path} cannot be read")
    if problems:
        raise RuntimeError(f"[api] enable_ssl_api is on, but {'; '.join(problems)}")
    return {
        "certfile": certfile,
        "keyfile": keyfile,
        "ssl_context": lambda config, default: tls_context(certfile, keyfile, ca_file),
    }


def body_limit(conf: cfg.ConfigOpts) -> int:
    """Return the size of the largest request body: a package and the form around it."""
    return int(conf.api.max_package_size) + FORM_BYTES


def open_unix_sockets(arbiter: Any) -> None:
    """Let every user connect to the unix listeners: the relay runs as another one."""
    for listener in arbiter.LISTENERS:
        name = listener.sock.getsockname()
        if isinstance(name, str):
            pathlib.Path(name).chmod(0o666)


def build_app(conf: cfg.ConfigOpts) -> Wsgi:
    """Build Qinling's application in this process, with its health address; start what belongs to an API process."""
    from qinling.api import app as qinling_app

    handles_jobs = conf.api.enable_job_handler
    # Qinling would start a handler of its own in each process.
    conf.set_override("enable_job_handler", False, group="api")
    app: Wsgi = qinling_app.setup_app()
    checks, _queue = health.common_checks(conf)
    app = BodyLimit(app, body_limit(conf))
    app = health.Middleware(app, health.Health(checks))
    if handles_jobs:
        jobs.start(conf.api.job_handler_lock)
    return app


def reload_options(conf: cfg.ConfigOpts) -> str | None:
    """Read the configuration files again; return what is wrong with them, in which case ``conf`` stays as it was."""
    # oslo.config checks values only when they are read, and has no way back from a reload.
    before = conf._namespace
    try:
        if conf.reload_config_files():
            for name in conf:
                value = conf[name]
                if isinstance(value, Mapping):
                    dict(value)
            settings(conf)
            return None
        fault = "it cannot be read"
    except (RuntimeError, ValueError, cfg.Error) as error:
        fault = str(error)
    conf._namespace = before
    # Any default set makes oslo.config forget the values that it has read.
    conf.set_default("use_stderr", True)
    return fault


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no type information
    """gunicorn's application: configured from oslo.config instead of its own files, options and environment.

    :param conf: the parsed configuration, read again at each reload (SIGHUP).
    :param build: called in each worker to build the application.
    """

    def __init__(self, conf: cfg.ConfigOpts, build: Callable[[cfg.ConfigOpts], Wsgi] = build_app) -> None:
        self._conf = conf
        self._build = build
        super().__init__()

    def load_config(self) -> None:
        """Translate the configuration into gunicorn's settings."""
        for name, value in settings(self._conf).items():
            self.cfg.set(name, value)

    def reload(self) -> None:
        """Read the configuration again; keep the old one where the new one is faulty."""
        fault = reload_options(self._conf)
        logs.setup(SERVICE, self._conf)
        if fault:
            LOG.error("The configuration was not reloaded: %s", fault)
        self.do_load_config()

    def load(self) -> Wsgi:
        """Build the application; gunicorn calls this in each worker, after the fork."""
        # An init in front of the arbiter may signal the whole process group: reloading is the arbiter's business alone.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self._build(self._conf)

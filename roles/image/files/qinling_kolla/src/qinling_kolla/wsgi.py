# SPDX-License-Identifier: Apache-2.0
"""The API under gunicorn: workers with threads, each of which builds the application after its fork."""

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
# Size of a form without its package.
FORM_BYTES = 1 << 20
# Seconds without a heartbeat; a worker sends it independently of its requests.
HEARTBEAT_SECONDS = 90
KEEPALIVE_SECONDS = 65
MEMORY = "/dev/shm"  # gunicorn creates its files there safely

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class BodyLimit:
    """WSGI middleware that refuses bodies that are too large or of unknown size before they are read."""

    def __init__(self, app: Wsgi, limit: int) -> None:
        self._app = app
        self._limit = limit

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        refused = refusal(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"), self._limit)
        if refused is None:
            return self._app(environ, start_response)
        # A client reads the response only after sending, so part of the body is read before the connection is closed.
        left = 2 * self._limit
        while left > 0 and (chunk := environ["wsgi.input"].read(min(left, 65536))):
            left -= len(chunk)
        status, message = refused
        body = json.dumps({"faultstring": message}).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def refusal(length: str | None, transfer_encoding: str | None, limit: int) -> tuple[str, str] | None:
    """Return HTTP status and message for a refused body, None for an accepted one.

    ``length`` is the Content-Length header, ``limit`` the largest accepted size in bytes.
    """
    if transfer_encoding and transfer_encoding.lower() != "identity":
        return "411 Length Required", "The request needs a Content-Length."
    if length and length.isdecimal() and int(length) > limit:
        message = f"The request is larger than the {limit} bytes that [api] max_package_size allows."
        return "413 Request Entity Too Large", message
    return None


def close_refused(limit: int) -> Callable[[Any, Any], None]:
    """Return a ``pre_request`` hook for gunicorn that closes the connection of a refused body."""

    def pre_request(worker: Any, request: Any) -> None:
        headers = dict(request.headers)
        if refusal(headers.get("CONTENT-LENGTH"), headers.get("TRANSFER-ENCODING"), limit):
            request.force_close()

    return pre_request


class _TcpOnlyContext(ssl.SSLContext):
    """TLS context for TCP connections that leaves unix sockets, which are local, unencrypted."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
        if sock.family == socket.AF_UNIX:
            return sock
        return super().wrap_socket(sock, *args, **kwargs)


def tls_context(certfile: str, keyfile: str | None, ca_file: str | None) -> ssl.SSLContext:
    """Return the server's TLS context; with ``ca_file``, clients must present a certificate signed by it."""
    context = _TcpOnlyContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    if ca_file:
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listeners(host: str, port: int, unix_socket: str | None) -> list[str]:
    """Return gunicorn's ``bind`` setting."""
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return [f"{shown}:{port}", *([f"unix:{unix_socket}"] if unix_socket else [])]


def settings(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """Return gunicorn's settings for Qinling's configuration; raise RuntimeError if files for TLS are missing."""
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
        # Headers include tokens.
        "limit_request_field_size": 16384,
        # oslo.middleware handles forwarding headers, and functions can send any header over the unix socket.
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        "proc_name": SERVICE,
        "logger_class": logs.GunicornLogger,
        "accesslog": "-",
        "when_ready": open_unix_sockets,
        "pre_request": close_refused(body_limit(conf)),
        "post_request": lambda worker, request, environ, response: logs.forget_context(),
    }
    # Heartbeats are written to a file, which must not block on a disk.
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
    """Return the maximum size of a request body: a package and its form."""
    return int(conf.api.max_package_size) + FORM_BYTES


def open_unix_sockets(arbiter: Any) -> None:
    """Allow every user to connect to the unix listeners, as the gateway runs as another user."""
    for listener in arbiter.LISTENERS:
        name = listener.sock.getsockname()
        if isinstance(name, str):
            pathlib.Path(name).chmod(0o666)


def build_app(conf: cfg.ConfigOpts) -> Wsgi:
    """Build Qinling's application in this process, with its health endpoint, and start the job handler."""
    from qinling.api import app as qinling_app

    handles_jobs = conf.api.enable_job_handler
    # Qinling would start a handler in each process.
    conf.set_override("enable_job_handler", False, group="api")
    app: Wsgi = qinling_app.setup_app()
    checks, _queue = health.common_checks(conf)
    app = BodyLimit(app, body_limit(conf))
    app = health.Middleware(app, health.Health(checks))
    if handles_jobs:
        jobs.start(conf.api.job_handler_lock)
    return app


def reload_options(conf: cfg.ConfigOpts) -> str | None:
    """Reload the configuration files; return the error, None on success. ``conf`` is unchanged after an error."""
    # oslo.config validates values only on access, and cannot revert a reload.
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
    # Setting any default clears oslo.config's cache of values.
    conf.set_default("use_stderr", True)
    return fault


class Server(BaseApplication):
    """gunicorn's application, configured from oslo.config instead of gunicorn's files, options and environment.

    The configuration is read again at each reload (SIGHUP); ``build`` creates the application in each worker.
    """

    def __init__(self, conf: cfg.ConfigOpts, build: Callable[[cfg.ConfigOpts], Wsgi] = build_app) -> None:
        self._conf = conf
        self._build = build
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's settings from the configuration."""
        for name, value in settings(self._conf).items():
            self.cfg.set(name, value)

    def reload(self) -> None:
        """Reload the configuration; keep the old one if the new one is invalid."""
        fault = reload_options(self._conf)
        logs.setup(SERVICE, self._conf)
        if fault:
            LOG.error("The configuration was not reloaded: %s", fault)
        self.do_load_config()

    def load(self) -> Wsgi:
        """Build the application; gunicorn calls this in each worker, after the fork."""
        # An init process may signal the whole process group, but only the arbiter handles reloads.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self._build(self._conf)

# SPDX-License-Identifier: Apache-2.0
"""Health: checks of database, queue, etcd and other dependencies, in parallel and with a time limit.

The report names failed checks with fixed texts of this module, so it cannot contain addresses, SQL, users or passwords.
"""

import contextlib
import dataclasses
import http.server
import json
import logging
import os
import pathlib
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import amqp
import oslo_messaging
import requests
from oslo_config import cfg

from qinling_kolla import database

LOG = logging.getLogger(__name__)

PATH = "/healthcheck"
LIMIT_SECONDS = 3.0
KEEP_SECONDS = 2.0

# A check returns if its dependency is healthy and raises otherwise.
Check = Callable[[], None]


class UnhealthyError(Exception):
    """A failed check whose text is reported; of other exceptions only the name of the type is reported."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The results of all checks: None, or the reason of the failure."""

    checks: Mapping[str, str | None]

    @property
    def status(self) -> str:
        """Return ``ok``, ``degraded`` (some checks failed) or ``failed`` (all of them did)."""
        failed = [reason for reason in self.checks.values() if reason is not None]
        if not failed:
            return "ok"
        return "failed" if len(failed) == len(self.checks) else "degraded"

    def body(self) -> bytes:
        """Return the report as JSON."""
        checks = {
            name: {"status": "ok"} if reason is None else {"status": "failed", "reason": reason}
            for name, reason in self.checks.items()
        }
        return json.dumps({"status": self.status, "checks": checks}).encode()

    def http_status(self) -> tuple[int, str]:
        """Return the HTTP status code and phrase of the report."""
        return (200, "OK") if self.status == "ok" else (503, "Service Unavailable")


class _Running:
    """One run of one check in its own thread."""

    def __init__(self, check: Check) -> None:
        self.reason: str | None = None
        self._check = check
        self._thread = threading.Thread(target=self._run, name="health-check", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._check()
        except UnhealthyError as error:
            self.reason = str(error)
        except Exception as error:  # a failed check
            self.reason = type(error).__name__

    def done(self, until: float) -> bool:
        """Wait for the run, at most until a time of the monotonic clock; return whether it ended."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()


class Health:
    """Parallel checks with a short cache of their results, so that many callers cost as much as one."""

    def __init__(self, checks: Mapping[str, Check], limit: float = LIMIT_SECONDS, keep: float = KEEP_SECONDS) -> None:
        self._checks = dict(checks)
        self._limit = limit
        self._keep = keep
        self._lock = threading.Lock()
        self._hanging: dict[str, _Running] = {}
        self._report: Report | None = None
        self._until = 0.0

    def add(self, name: str, check: Check) -> None:
        """Add or replace a check."""
        with self._lock:
            self._checks[name] = check
            self._until = 0.0

    def report(self) -> Report:
        """Return the results of the checks, at most ``keep`` seconds old."""
        with self._lock:
            if self._report is None or time.monotonic() >= self._until:
                before = self._report.checks if self._report else {}
                self._report = Report(self._run_checks())
                self._until = time.monotonic() + self._keep
                _log_changes(before, self._report.checks)
            return self._report

    def _run_checks(self) -> dict[str, str | None]:
        until = time.monotonic() + self._limit
        # A check that still hangs from an earlier round is not started again: threads must not pile up.
        hanging = {name: run for name, run in self._hanging.items() if not run.done(0.0)}
        running = {name: hanging.get(name) or _Running(check) for name, check in self._checks.items()}
        self._hanging = {}
        results: dict[str, str | None] = {}
        for name, run in running.items():
            if run.done(until):
                results[name] = run.reason
            else:
                self._hanging[name] = run
                results[name] = f"no answer within {self._limit:g} s"
        return results


def _log_changes(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> None:
    for name, reason in now.items():
        if reason is not None and reason != before.get(name):
            LOG.warning("Health of %s: %s", name, reason)
        elif reason is None and before.get(name) is not None:
            LOG.info("Health of %s: ok again", name)


class Middleware:
    """WSGI middleware that serves ``GET /healthcheck`` without authentication and passes other requests on."""

    def __init__(self, app: Callable[..., Any], health: Health) -> None:
        self._app = app
        self._health = health

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get("PATH_INFO") != PATH or environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return self._app(environ, start_response)
        report = self._health.report()
        body = report.body()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response(" ".join(map(str, report.http_status())), headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "Listener"

    def do_GET(self) -> None:
        """Respond with the report, for any path."""
        report = self.server.health.report()
        body = report.body()
        self.send_response(*report.http_status())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return a placeholder, as callers on a unix socket have no address."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, as health checks run every few seconds."""


class Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """HTTP server of the report on a unix socket, which only this service's user can open."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, path: str, health: Health) -> None:
        self.health = health
        file = pathlib.Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        super().__init__(path, _Handler)
        file.chmod(0o600)

    def start(self) -> None:
        """Serve in a separate thread."""
        threading.Thread(target=self.serve_forever, name="health-listener", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a disconnected caller without a traceback on stderr."""
        LOG.debug("A caller of the health listener disconnected")


def database_check(url: str) -> Check:
    """Return a check that the database answers and is migrated."""
    engine = database.make_engine(url)

    def check() -> None:
        try:
            with engine.connect() as connection:
                recorded = database.recorded_revisions(connection)
        except Exception as error:  # the types depend on the driver
            raise UnhealthyError(database.failure_reason(error)) from None
        if recorded != [database.HEAD]:
            raise UnhealthyError("not migrated to this version")

    return check


class Queue:
    """Checks over one persistent connection to RabbitMQ: a connection per check would fill the broker's log."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        url = oslo_messaging.TransportURL.parse(conf)
        self.supported = (url.transport or "rabbit").startswith("rabbit")
        self._hosts = url.hosts
        self._virtual_host = url.virtual_host or "/"
        self._tls = _queue_tls(conf) if self.supported else False
        self._connection: Any = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise UnhealthyError unless the broker answers."""
        self._probe(lambda channel: None)

    def consumer_check(self, queue: str) -> Check:
        """Return a check that ``queue`` has a consumer."""

        def require_consumer(channel: Any) -> None:
            try:
                consumers = channel.queue_declare(queue, passive=True).consumer_count
            except amqp.exceptions.NotFound:
                raise UnhealthyError("the RPC server has no queue yet") from None
            if consumers < 1:
                raise UnhealthyError("the RPC server does not listen to its queue")

        return lambda: self._probe(require_consumer)

    def _probe(self, operation: Callable[[Any], None]) -> None:
        with self._lock:
            if self._connection is not None:
                # The broker may have closed the connection since the last check, so reconnect before failing.
                try:
                    self._on_channel(operation)
                    return
                except (amqp.exceptions.AMQPError, OSError):
                    self._forget()
            self._connect()
            try:
                self._on_channel(operation)
            except (amqp.exceptions.AMQPError, OSError) as error:
                self._forget()
                raise UnhealthyError(_queue_reason(error)) from None

    def _on_channel(self, operation: Callable[[Any], None]) -> None:
        channel = self._connection.channel()
        try:
            operation(channel)
        finally:
            if channel.is_open:
                channel.close()

    def _connect(self) -> None:
        reason = "no host in transport_url"
        for host in self._hosts:
            connection = amqp.Connection(
                host=f"{_bracketed(host.hostname)}:{host.port or 5672}",
                userid=host.username or "",
                password=host.password or "",
                virtual_host=self._virtual_host,
                ssl=self._tls,
                connect_timeout=2,
                read_timeout=2,
                write_timeout=2,
                heartbeat=0,
                client_properties={"connection_name": f"qinling-health:{os.getpid()}"},
            )
            try:
                connection.connect()
            except Exception as error:  # of amqp, TLS or sockets
                reason = _queue_reason(error)
                with contextlib.suppress(Exception):
                    connection.collect()
                continue
            self._connection = connection
            return
        raise UnhealthyError(reason)

    def _forget(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.collect()
        self._connection = None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _queue_reason(error: BaseException) -> str:
    if isinstance(error, (amqp.exceptions.AccessRefused, amqp.exceptions.NotAllowed)):
        return "access refused: see user, password and vhost in transport_url"
    if isinstance(error, TimeoutError):
        return "no answer"
    return type(error).__name__


def _queue_tls(conf: cfg.ConfigOpts) -> dict[str, Any] | bool:
    """Return py-amqp's TLS arguments from oslo.messaging's options, False if TLS is off."""
    from oslo_messaging._drivers import impl_rabbit

    conf.register_opts(impl_rabbit.rabbit_opts, group="oslo_messaging_rabbit")
    options = conf.oslo_messaging_rabbit
    if not options.ssl:
        return False
    arguments = {
        "ca_certs": options.ssl_ca_file or None,
        "certfile": options.ssl_cert_file or None,
        "keyfile": options.ssl_key_file or None,
    }
    return {name: value for name, value in arguments.items() if value} or True


def etcd_in_use(conf: cfg.ConfigOpts) -> bool:
    """Return whether the operator configured etcd; Qinling's default address does not count."""
    locations = (conf.get_location(name, "etcd") for name in ("host", "port", "protocol"))
    return any(location is not None and location.location.is_user_controlled for location in locations)


def etcd_check(conf: cfg.ConfigOpts) -> Check:
    """Return a check that queries etcd's health endpoint, with Qinling's certificates."""
    url = f"{conf.etcd.protocol}://{_bracketed(conf.etcd.host)}:{conf.etcd.port}/health"
    verify: str | bool = True
    certificate = None
    if conf.etcd.protocol == "https":
        verify = conf.etcd.ca_cert or True
        pair = (conf.etcd.cert_file, conf.etcd.cert_key)
        if all(pair) and all(pathlib.Path(path).exists() for path in pair):
            certificate = pair

    def check() -> None:
        with requests.Session() as session:
            # Ignore REQUESTS_CA_BUNDLE and proxies.
            session.trust_env = False
            try:
                response = session.get(url, timeout=2, verify=verify, cert=certificate)
            except requests.exceptions.SSLError:
                raise UnhealthyError("TLS failed: see ca_cert, cert_file and cert_key in [etcd]") from None
            except requests.exceptions.Timeout:
                raise UnhealthyError("no answer") from None
            except requests.exceptions.ConnectionError:
                raise UnhealthyError("no connection") from None
            except OSError:
                raise UnhealthyError("a file named in [etcd] cannot be read") from None
        try:
            healthy = response.status_code == 200 and str(response.json()["health"]).lower() == "true"
        except (ValueError, KeyError, TypeError):
            healthy = False
        if not healthy:
            raise UnhealthyError("etcd reports that it is not healthy")

    return check


def orchestrator_check(orchestrator: Any) -> Check | None:
    """Return a check that calls the driver's ``healthy()``, None if the driver has no such method.

    ``healthy()`` raises or returns False if the orchestrator cannot be reached.
    """
    healthy = getattr(orchestrator, "healthy", None)
    if not callable(healthy):
        return None

    def check() -> None:
        if healthy() is False:
            raise UnhealthyError("not reachable")

    return check


def common_checks(conf: cfg.ConfigOpts) -> tuple[dict[str, Check], Queue]:
    """Return the checks of both API and engine, and the queue for further checks."""
    checks: dict[str, Check] = {"database": database_check(conf.database.connection)}
    queue = Queue(conf)
    if queue.supported:
        checks["queue"] = queue.check
    if etcd_in_use(conf):
        checks["etcd"] = etcd_check(conf)
    return checks, queue

# SPDX-License-Identifier: Apache-2.0
"""Health: asks database, queue, etcd and the rest whether they answer, all at once and never for longer than a limit.

The answer names what failed and how, in words of this module only: no address, SQL, user or password can get into it.
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

# A check returns when all is well and raises when it is not.
Check = Callable[[], None]


class UnhealthyError(Exception):
    """What a check raises to have its own text in the answer; any other exception is answered by its type's name."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The outcome of all checks: for each None or what is wrong with it."""

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
        """Return HTTP's status code and phrase for the report."""
        return (200, "OK") if self.status == "ok" else (503, "Service Unavailable")


class _Running:
    """One run of one check in a thread of its own."""

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
        except Exception as error:  # an outcome like any other
            self.reason = type(error).__name__

    def done(self, until: float) -> bool:
        """Wait for the end of the run, at most until the given moment of the monotonic clock; tell whether it came."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()


class Health:
    """Runs checks in parallel and keeps the outcome for a moment, so that many callers cost as much as one."""

    def __init__(self, checks: Mapping[str, Check], limit: float = LIMIT_SECONDS, keep: float = KEEP_SECONDS) -> None:
        self._checks = dict(checks)
        self._limit = limit
        self._keep = keep
        self._lock = threading.Lock()
        self._hanging: dict[str, _Running] = {}
        self._report: Report | None = None
        self._until = 0.0

    def add(self, name: str, check: Check) -> None:
        """Add a check, or put another in its place."""
        with self._lock:
            self._checks[name] = check
            self._until = 0.0

    def report(self) -> Report:
        """Return the checks' outcome, at most ``keep`` seconds old."""
        with self._lock:
            if self._report is None or time.monotonic() >= self._until:
                before = self._report.checks if self._report else {}
                self._report = Report(self._ask())
                self._until = time.monotonic() + self._keep
                _tell_changes(before, self._report.checks)
            return self._report

    def _ask(self) -> dict[str, str | None]:
        until = time.monotonic() + self._limit
        # A check that hangs since an earlier round is not started again: threads must not pile up.
        hanging = {name: run for name, run in self._hanging.items() if not run.done(0.0)}
        running = {name: hanging.get(name) or _Running(check) for name, check in self._checks.items()}
        self._hanging = {}
        outcome: dict[str, str | None] = {}
        for name, run in running.items():
            if run.done(until):
                outcome[name] = run.reason
            else:
                self._hanging[name] = run
                outcome[name] = f"no answer within {self._limit:g} s"
        return outcome


def _tell_changes(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> None:
    for name, reason in now.items():
        if reason is not None and reason != before.get(name):
            LOG.warning("Health of %s: %s", name, reason)
        elif reason is None and before.get(name) is not None:
            LOG.info("Health of %s: ok again", name)


class Middleware:
    """Answers ``GET /healthcheck`` before authentication; every other request goes on to the application."""

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
        """Answer with the report, whatever the path."""
        report = self.server.health.report()
        body = report.body()
        self.send_response(*report.http_status())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return a name for the caller; a unix socket has no address."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the caller comes every few seconds."""


class Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves the report over HTTP on a unix socket, which only this service's user can open."""

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
        """Serve in a thread of its own."""
        threading.Thread(target=self.serve_forever, name="health-listener", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave a caller that went away without a traceback on stderr."""
        LOG.debug("A caller of the health listener went away")


def database_check(url: str) -> Check:
    """Return a check that connects to the database and finds it migrated."""
    engine = database.make_engine(url)

    def check() -> None:
        try:
            with engine.connect() as connection:
                recorded = database.recorded_revisions(connection)
        except Exception as error:  # drivers raise what they like
            raise UnhealthyError(database.failure_reason(error)) from None
        if recorded != [database.HEAD]:
            raise UnhealthyError("not migrated to this version")

    return check


class Queue:
    """Checks over one connection to RabbitMQ, kept open: a new one for each check would fill the broker's log."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        url = oslo_messaging.TransportURL.parse(conf)
        self.supported = (url.transport or "rabbit").startswith("rabbit")
        self._hosts = url.hosts
        self._virtual_host = url.virtual_host or "/"
        self._tls = _queue_tls(conf) if self.supported else False
        self._connection: Any = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise unless the broker answers."""
        self._ask(lambda channel: None)

    def consumer_check(self, queue: str) -> Check:
        """Return a check that finds a consumer on ``queue``."""

        def ask(channel: Any) -> None:
            try:
                consumers = channel.queue_declare(queue, passive=True).consumer_count
            except amqp.exceptions.NotFound:
                raise UnhealthyError("the RPC server has no queue yet") from None
            if consumers < 1:
                raise UnhealthyError("the RPC server does not listen to its queue")

        return lambda: self._ask(ask)

    def _ask(self, question: Callable[[Any], None]) -> None:
        with self._lock:
            if self._connection is not None:
                # The broker may have closed it since the last check, which says nothing about now.
                try:
                    self._over_channel(question)
                    return
                except (amqp.exceptions.AMQPError, OSError):
                    self._forget()
            self._connect()
            try:
                self._over_channel(question)
            except (amqp.exceptions.AMQPError, OSError) as error:
                self._forget()
                raise UnhealthyError(_queue_reason(error)) from None

    def _over_channel(self, question: Callable[[Any], None]) -> None:
        channel = self._connection.channel()
        try:
            question(channel)
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
            except Exception as error:  # amqp, TLS and sockets raise what they like
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
    """Return py-amqp's TLS arguments from oslo.messaging's options, False without TLS."""
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
    """Whether the operator configured etcd; Qinling has a default address, which is nobody's."""
    locations = (conf.get_location(name, "etcd") for name in ("host", "port", "protocol"))
    return any(location is not None and location.location.is_user_controlled for location in locations)


def etcd_check(conf: cfg.ConfigOpts) -> Check:
    """Return a check that asks etcd's own health address, with the certificates that Qinling uses."""
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
            # REQUESTS_CA_BUNDLE and proxies are not for this connection.
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
            raise UnhealthyError("etcd answers that it is not healthy")

    return check


def orchestrator_check(orchestrator: Any) -> Check | None:
    """Return a check that calls the driver's ``healthy()``, None for a driver without one.

    ``healthy()`` raises, or returns False, when the orchestrator cannot be reached.
    """
    healthy = getattr(orchestrator, "healthy", None)
    if not callable(healthy):
        return None

    def check() -> None:
        if healthy() is False:
            raise UnhealthyError("not reachable")

    return check


def common_checks(conf: cfg.ConfigOpts) -> tuple[dict[str, Check], Queue]:
    """Return the checks that API and engine share, and the queue that further checks may use."""
    checks: dict[str, Check] = {"database": database_check(conf.database.connection)}
    queue = Queue(conf)
    if queue.supported:
        checks["queue"] = queue.check
    if etcd_in_use(conf):
        checks["etcd"] = etcd_check(conf)
    return checks, queue

# SPDX-License-Identifier: Apache-2.0
"""Logging of the commands: to ``<log_dir>/<service>.log`` for collectors, to stderr for ``docker logs``."""

import logging
import re
from typing import Any

from gunicorn import glogging
from oslo_config import cfg
from oslo_context import context
from oslo_log import log as oslo_log

ACCESS = logging.getLogger("qinling_kolla.access")

# A webhook's ID is a secret: callers need nothing else.
_WEBHOOK = re.compile(r"(/webhooks/)[^/]+", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


def setup(service: str, conf: cfg.ConfigOpts = cfg.CONF) -> None:
    """Set up logging from ``conf``, also after a reload; to stderr too unless the operator disabled it."""
    conf.set_default("use_stderr", True)
    if conf.log_dir:
        conf.set_default("log_file", f"{service}.log")
    else:
        # A reload may have removed log_dir; the file name alone would be relative to the working directory.
        conf.clear_default("log_file")
    oslo_log.setup(conf, service)


def forget_context() -> None:
    """Drop this thread's context, which adds request, user and project to its log lines.

    oslo.context keeps it until the thread creates another. Requests that do not reach Qinling's controllers create
    none: requests without a route, of a wrong size, or with invalid HTTP.
    """
    # oslo.context has no public function for this.
    context._request_store.context = None


def safe_path(path: str) -> str:
    """Return a request's path for logs: without query and webhook ID, as one printable line."""
    bare = path.partition("?")[0].partition("#")[0]
    return _UNPRINTABLE.sub("?", _WEBHOOK.sub(r"\1***", bare))[:512]


def access_line(environ: dict[str, Any], status: str | int, sent: int, seconds: float) -> str:
    """Return the access log line of a request."""
    client = environ.get("REMOTE_ADDR") or "unix"
    method = _UNPRINTABLE.sub("?", environ.get("REQUEST_METHOD", "-"))[:16]
    path = safe_path(environ.get("PATH_INFO", "-"))
    code = str(status).split(None, 1)[0]
    return f'{client} "{method} {path}" status: {code} len: {sent} time: {seconds:.4f}'


class GunicornLogger(glogging.Logger):
    """Logger of gunicorn that uses oslo.log's handlers."""

    def setup(self, cfg: Any) -> None:
        """Propagate to the root logger instead of adding gunicorn's handlers."""
        self.error_log.propagate = True
        self.error_log.setLevel(logging.NOTSET)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a failure; a request's path among the arguments is sanitized."""
        safe = [safe_path(arg) if isinstance(arg, str) and "/" in arg else arg for arg in args]
        self.error_log.exception(msg, *safe, **kwargs)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """Log a request; frequent health checks only at debug level."""
        level = logging.DEBUG if environ.get("PATH_INFO") == "/healthcheck" else logging.INFO
        if ACCESS.isEnabledFor(level):
            line = access_line(environ, resp.status, getattr(resp, "sent", 0) or 0, request_time.total_seconds())
            ACCESS.log(level, "%s", line)

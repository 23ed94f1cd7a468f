# SPDX-License-Identifier: Apache-2.0
"""Logging of the entry commands: into ``<log_dir>/<service>.log`` for collectors, to stderr for ``docker logs``."""

import logging
import re
from typing import Any

from gunicorn import glogging
from oslo_config import cfg
from oslo_context import context
from oslo_log import log as oslo_log

ACCESS = logging.getLogger("qinling_kolla.access")

# A webhook's identifier is all that its caller needs to know.
_WEBHOOK = re.compile(r"(/webhooks/)[^/]+", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


def setup(service: str, conf: cfg.ConfigOpts = cfg.CONF) -> None:
    """Set logging up as ``conf`` says (again after a reload), to stderr too unless the operator turned that off."""
    conf.set_default("use_stderr", True)
    if conf.log_dir:
        conf.set_default("log_file", f"{service}.log")
    else:
        # A reload may have taken the folder away; the name alone would be a file in the working directory.
        conf.clear_default("log_file")
    oslo_log.setup(conf, service)


def forget_context() -> None:
    """Drop this thread's context, by which its log lines name a request, a user and a project.

    oslo.context keeps one until the thread makes another, which a request does not do that is answered before Qinling's
    controllers see it: one without a route, of a wrong size, or no HTTP at all.
    """
    # oslo.context has no public call for it.
    context._request_store.context = None


def safe_path(path: str) -> str:
    """Return a request's path as it may be logged: no query, no webhook identifier, one printable line."""
    bare = path.partition("?")[0].partition("#")[0]
    return _UNPRINTABLE.sub("?", _WEBHOOK.sub(r"\1***", bare))[:512]


def access_line(environ: dict[str, Any], status: str | int, sent: int, seconds: float) -> str:
    """Return the access log's line of one request."""
    client = environ.get("REMOTE_ADDR") or "unix"
    method = _UNPRINTABLE.sub("?", environ.get("REQUEST_METHOD", "-"))[:16]
    path = safe_path(environ.get("PATH_INFO", "-"))
    code = str(status).split(None, 1)[0]
    return f'{client} "{method} {path}" status: {code} len: {sent} time: {seconds:.4f}'


class GunicornLogger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no type information
    """Sends what gunicorn logs to oslo.log's handlers."""

    def setup(self, cfg: Any) -> None:
        """Add no handler of gunicorn's own; the root logger has them."""
        self.error_log.propagate = True
        self.error_log.setLevel(logging.NOTSET)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a failure, with the request's path, which may be among the arguments, made safe."""
        safe = [safe_path(arg) if isinstance(arg, str) and "/" in arg else arg for arg in args]
        self.error_log.exception(msg, *safe, **kwargs)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """Log one request; health checks, which come every few seconds, only at debug level."""
        level = logging.DEBUG if environ.get("PATH_INFO") == "/healthcheck" else logging.INFO
        if ACCESS.isEnabledFor(level):
            line = access_line(environ, resp.status, getattr(resp, "sent", 0) or 0, request_time.total_seconds())
            ACCESS.log(level, "%s", line)

# SPDX-License-Identifier: Apache-2.0
"""Access to the Kubernetes API for the driver: few calls, plain data, time limits, and errors with a remedy.

TLS is always verified. The client library's models are not used: they refuse responses of other server versions and
cost time on every call.
"""

import pathlib
import ssl
from collections.abc import Mapping
from typing import Any

import urllib3
from kubernetes import client
from oslo_config import cfg
from qinling import exceptions as exc

from qinling_kolla import failures

Object = dict[str, Any]

# Seconds to connect, and to wait for a response.
TIMEOUT = (5, 30)
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
# Limit in bytes of a fetched log.
MAX_LOG = 4 * 1024 * 1024

GROUPS = {
    "pods": "/api/v1",
    "services": "/api/v1",
    "deployments": "/apis/apps/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}


class ApiError(failures.PlatformError):
    """A call that the API server refused or did not answer."""

    reason = "Kubernetes refused a request"

    def __init__(self, message: str, status: int = 0) -> None:
        """Store the HTTP status; 0 means no response."""
        super().__init__(message)
        self.status = status


class NotFound(ApiError):
    """The object does not exist."""


class Conflict(ApiError):
    """The object already exists, or has changed since it was read."""


class Unavailable(ApiError):
    """The API server does not answer, or reports a temporary error."""

    reason = "Kubernetes does not answer"


def check_file(option: str, path: str | None) -> str:
    """Return ``path`` if it can be read, else raise an error that names the option."""
    try:
        with pathlib.Path(path or "").open("rb"):
            return str(path)
    except OSError as error:
        raise exc.OrchestratorException(f"[kubernetes] {option} = {path}: cannot be read ({error.strerror})") from error


def tls(conf: cfg.ConfigOpts) -> tuple[bool | str, tuple[str, str] | None]:
    """Return how to verify the server (a CA file, or True for the system's CAs), and the client certificate and key."""
    options = conf.kubernetes
    if options.use_api_certificate:
        authority = check_file("ssl_ca_cert", options.ssl_ca_cert)
        return authority, (check_file("cert_file", options.cert_file), check_file("key_file", options.key_file))
    given = options.ssl_ca_cert and pathlib.Path(options.ssl_ca_cert).is_file()
    return (options.ssl_ca_cert if given else True), None


def _configuration(conf: cfg.ConfigOpts) -> client.Configuration:
    configuration = client.Configuration()
    configuration.host = conf.kubernetes.kube_host.rstrip("/")
    # The environment's proxy is for downloads, not for the cluster.
    configuration.proxy = None
    configuration.verify_ssl = True
    configuration.connection_pool_maxsize = 32
    configuration.retries = urllib3.Retry(total=3, connect=1, read=1, status=0, redirect=0, backoff_factor=0.2)
    if configuration.host.startswith("https:"):
        verify, certificate = tls(conf)
        configuration.ssl_ca_cert = None if verify is True else verify
        if certificate:
            configuration.cert_file, configuration.key_file = certificate
    return configuration


def ssl_context(conf: cfg.ConfigOpts) -> ssl.SSLContext | None:
    """Return the TLS context for the API server, or None if its address is not https.

    Chain, dates and name are verified. Python 3.13's VERIFY_X509_STRICT (RFC 5280) is off, as CAs created by Magnum and
    older tools lack key identifiers.
    """
    if not conf.kubernetes.kube_host.startswith("https:"):
        return None
    verify, certificate = tls(conf)
    context = ssl.create_default_context(cafile=None if verify is True else str(verify))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate:
        context.load_cert_chain(*certificate)
    return context


class Api:
    """The driver's API calls, all in its namespace."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Create a client without connecting."""
        self.namespace: str = conf.kubernetes.namespace
        self._client = client.ApiClient(_configuration(conf))
        if context := ssl_context(conf):
            self._client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context

    def path(self, kind: str, name: str = "", part: str = "") -> str:
        """Return the path of a kind's collection, of one object, or of a subresource."""
        parts = [GROUPS[kind], "namespaces", self.namespace, kind, name, part]
        return "/".join(piece for piece in parts if piece)

    def call(
        self,
        verb: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        plain: bool = False,
    ) -> Any:
        """Send a request and return the response as data, or as text if ``plain``."""
        try:
            answer = self._client.call_api(
                path,
                verb,
                body=body,
                query_params=list((query or {}).items()),
                header_params={"Accept": "*/*" if plain else "application/json", "Content-Type": content_type},
                # The library would parse text that looks like JSON.
                response_type=None if plain else "object",
                _preload_content=not plain,
                auth_settings=[],
                _return_http_data_only=True,
                _request_timeout=TIMEOUT,
            )
        except client.ApiException as error:
            raise self._error(verb, path, error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(
                f"Kubernetes API does not answer: {verb} {path}: {type(error).__name__}: {error}"
            ) from error
        return answer.data.decode(errors="replace") if plain else answer

    @staticmethod
    def _error(verb: str, path: str, error: client.ApiException) -> ApiError:
        status = int(error.status or 0)
        text = error.body if isinstance(error.body, str) else (error.body or b"").decode(errors="replace")
        text = f"Kubernetes API: {verb} {path}: {status} {error.reason}: {text[:1000]}"
        if status == 404:
            return NotFound(text, status)
        if status == 409:
            return Conflict(text, status)
        if status in (0, 429) or status >= 500:
            return Unavailable(text, status)
        if status == 401:
            text += " (the client certificate [kubernetes] cert_file is not accepted: expired, or signed by another CA)"
        if status == 403:
            text += " (the client certificate's user lacks this permission in the namespace)"
        return ApiError(text, status)

    def get(self, kind: str, name: str) -> Object:
        """Return an object."""
        return dict(self.call("GET", self.path(kind, name)))

    def list(self, kind: str, label_selector: str) -> list[Object]:
        """Return the objects of a kind that match the selector."""
        answer = self.call("GET", self.path(kind), query={"labelSelector": label_selector})
        return list(answer.get("items") or [])

    def create(self, kind: str, body: Object) -> Object:
        """Create an object and return it."""
        return dict(self.call("POST", self.path(kind), body))

    def patch(self, kind: str, name: str, body: Any) -> Object:
        """Patch an object (a list is a JSON patch, a dictionary a merge patch) and return it."""
        content_type = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
        return dict(self.call("PATCH", self.path(kind, name), body, content_type=content_type))

    def delete(self, kind: str, name: str, grace: int | None = None) -> bool:
        """Delete an object and its dependents; return whether it existed."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            self.call("DELETE", self.path(kind, name), body)
        except NotFound:
            return False
        return True

    def delete_all(self, kind: str, label_selector: str) -> None:
        """Delete all objects of a kind that match the selector."""
        self.call("DELETE", self.path(kind), query={"labelSelector": label_selector})

    def log(self, pod: str, limit: int) -> str:
        """Return the last lines of a pod's log, at most ``limit`` characters."""
        text = self.call(
            "GET", self.path("pods", pod, "log"), query={"tailLines": "10000", "limitBytes": str(MAX_LOG)}, plain=True
        )
        return text if len(text) <= limit else f"[...]\n{text[-limit:]}"

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Base classes of resources: objects of a project other than its files and containers."""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import is_secret_name
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    HttpError,
    Qinling,
    QinlingError,
)


class Sessions:
    """Clients that are logged in to Keystone. Resources that are compared concurrently share one client per user."""

    def __init__(self, client: type[Qinling] = Qinling) -> None:
        """Create an empty set of sessions; `client` is the class of the clients."""
        self._client_class = client
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Qinling, threading.Lock]] = {}
        self._refused: dict[str, HttpError] = {}

    def logged_in(self, auth: Mapping[str, Any], ca_cert: str | None, wait: int) -> Qinling:
        """Return a client that is logged in as a user. Raise QinlingError if the login fails."""
        key = repr((sorted(auth.items()), ca_cert, wait))
        with self._lock:
            if key not in self._clients:
                params = {"endpoint": "", "auth": auth, "ca_cert": ca_cert or None, "wait": wait}
                self._clients[key] = (self._client_class(params), threading.Lock())
        client, lock = self._clients[key]
        with lock:
            # Do not retry a refused login: Keystone may lock out a user after several failures.
            if key in self._refused:
                raise self._refused[key]
            try:
                client.log_in()
            except HttpError as error:
                self._refused[key] = error
                raise
        return client


@dataclass(frozen=True)
class Run:
    """Parameters of a run: `check` mode, and the seconds to `wait` for a server."""

    check: bool = False
    wait: int = 0
    sessions: Sessions = field(default_factory=Sessions)


class Compared(ABC):
    """A resource that can be compared; the docstring of the class describes the keys of `desired`."""

    def __init__(self, desired: Mapping[str, Any], run: Run) -> None:
        """Prepare a comparison with the desired state."""
        self.desired: Mapping[str, Any] = with_text_secrets(desired)
        self.run = run

    @abstractmethod
    def differences(self) -> list[str]:
        """Return short descriptions of the differences from the desired state. Raise if the comparison fails."""


class Resource(Compared):
    """A resource that the module resources applies."""

    # Seconds to wait for a server.
    WAIT: ClassVar[int] = 60

    def __init__(self, desired: Mapping[str, Any], run: Run) -> None:
        """Prepare the application of the desired state; `done` records the changes, in check mode the expected ones."""
        super().__init__(desired, run)
        self.done: list[str] = []

    @abstractmethod
    def apply(self) -> None:
        """Create or change the resource.

        Raise QinlingError with a message for the operator, UnreachableError if the server does not answer.
        """

    @property
    def diff(self) -> dict[str, str]:
        """Return the diff of the change for `--diff`; empty if there is nothing to show."""
        return {}


def with_text_secrets(value: Any) -> Any:
    """Return data in which secrets are text: YAML parses a password of digits as a number."""
    if isinstance(value, Mapping):
        return {
            key: str(item) if _is_secret(key, item) and isinstance(item, int) else with_text_secrets(item)
            for key, item in value.items()
        }
    return [with_text_secrets(item) for item in value] if isinstance(value, list) else value


def _is_secret(key: str, value: Any) -> bool:
    """Return whether the value of a key is secret; a boolean, such as `secret` of a file, is not."""
    return is_secret_name(key) and not isinstance(value, bool)


def secrets_of(value: Any) -> list[str]:
    """Return the secrets in the desired state of resources, by the names of their keys."""
    if isinstance(value, Mapping):
        found = [[str(item)] if _is_secret(key, item) else secrets_of(item) for key, item in value.items()]
    else:
        found = [secrets_of(item) for item in value] if isinstance(value, list) else []
    return [secret for secrets in found for secret in secrets]


def library(name: str, package: str) -> Any:
    """Import a Python library that only some resources need. Raise QinlingError if the host does not have it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise QinlingError(
            f"{missing_required_lib(package)} Run the playbook qinling.kolla.bootstrap_servers to install it."
        ) from error

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A resource: something that a project needs besides files and containers, stated once, compared and applied."""

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
    """Clients that have logged in to Keystone. Resources that are compared at the same time share one for each user."""

    def __init__(self, client: type[Qinling] = Qinling) -> None:
        """Take what makes a client."""
        self._make = client
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Qinling, threading.Lock]] = {}
        self._refused: dict[str, HttpError] = {}

    def logged_in(self, auth: Mapping[str, Any], ca_cert: str | None, wait: int) -> Qinling:
        """Return the client of a user, logged in. Raise QinlingError where that fails."""
        key = repr((sorted(auth.items()), ca_cert, wait))
        with self._lock:
            if key not in self._clients:
                params = {"endpoint": "", "auth": auth, "ca_cert": ca_cert or None, "wait": wait}
                self._clients[key] = (self._make(params), threading.Lock())
        client, lock = self._clients[key]
        with lock:
            # Keystone may lock out a user after a number of failures.
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
    """How resources are compared or applied.

    `check` changes nothing, `wait` are the seconds that a server has until it answers.
    """

    check: bool = False
    wait: int = 0
    sessions: Sessions = field(default_factory=Sessions)


class Compared(ABC):
    """One resource: `desired` is the mapping that a project states, whose keys the class describes."""

    def __init__(self, desired: Mapping[str, Any], run: Run) -> None:
        """Take the desired state, and how it is compared or applied."""
        self.desired: Mapping[str, Any] = with_text_secrets(desired)
        self.run = run

    @abstractmethod
    def differences(self) -> list[str]:
        """Return what differs from the desired state, in a few words each. Raise where that cannot be known."""


class Resource(Compared):
    """A resource that the module resources applies."""

    # Seconds that a server has until it answers.
    WAIT: ClassVar[int] = 60

    def __init__(self, desired: Mapping[str, Any], run: Run) -> None:
        """Take the desired state, and how it is applied. `done` has what was changed so far, or would be."""
        super().__init__(desired, run)
        self.done: list[str] = []

    @abstractmethod
    def apply(self) -> None:
        """Bring about the desired state.

        Raise QinlingError with a message for the operator, UnansweredError where the server does not answer.
        """

    @property
    def diff(self) -> dict[str, str]:
        """Return what `--diff` shows of what `apply` changed, if anything."""
        return {}


def with_text_secrets(value: Any) -> Any:
    """Return data in which secrets are text: YAML reads a password of digits as a number."""
    if isinstance(value, Mapping):
        return {
            key: str(item) if _is_secret(key, item) and isinstance(item, int) else with_text_secrets(item)
            for key, item in value.items()
        }
    return [with_text_secrets(item) for item in value] if isinstance(value, list) else value


def _is_secret(key: str, value: Any) -> bool:
    """Return whether a key holds a secret, and not whether there is one (`secret` of a file)."""
    return is_secret_name(key) and not isinstance(value, bool)


def secrets_of(value: Any) -> list[str]:
    """Return the secrets in the desired state of resources, by the names of their keys."""
    if isinstance(value, Mapping):
        found = [[str(item)] if _is_secret(key, item) else secrets_of(item) for key, item in value.items()]
    else:
        found = [secrets_of(item) for item in value] if isinstance(value, list) else []
    return [secret for secrets in found for secret in secrets]


def library(name: str, package: str) -> Any:
    """Import a Python library that only this kind of resource needs. Raise QinlingError where the host lacks it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise QinlingError(
            f"{missing_required_lib(package)} The playbook qinling.kolla.bootstrap_servers installs it."
        ) from error

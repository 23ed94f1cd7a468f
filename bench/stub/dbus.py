# SPDX-License-Identifier: Apache-2.0
"""Substitute for systemd's bus, through which kolla-ansible's container module starts containers as units.

It starts and stops the containers synchronously in Docker, like the units would.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from typing import Any

_UNIT = re.compile(r"kolla-(.+)-container\.service")


class _Docker(http.client.HTTPConnection):
    """A connection to Docker's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect("/var/run/docker.sock")


def _docker(method: str, url: str) -> Any:
    """Send a request to Docker and return the data of the response; raise OSError with its message if it fails."""
    connection = _Docker("docker", timeout=120)
    try:
        connection.request(method, url)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise OSError(body.decode())
    return json.loads(body) if body else None


def _container(unit: str) -> str:
    """Return the name of a unit's container."""
    found = _UNIT.fullmatch(unit)
    if not found:
        raise ValueError(unit)
    return found[1]


class SystemBus:
    """The bus, with a single object."""

    def get_object(self, _name: str, _path: str) -> None:
        """Return nothing, because `Interface` needs no object."""


class Interface:
    """The methods of systemd's manager that kolla-ansible calls."""

    def __init__(self, _object: None, _name: str) -> None:
        pass

    def StartUnit(self, unit: str, _mode: str) -> None:  # noqa: N802
        """Start the container of a unit."""
        _docker("POST", f"/containers/{_container(unit)}/start")

    def StopUnit(self, unit: str, _mode: str) -> None:  # noqa: N802
        """Stop the container of a unit."""
        _docker("POST", f"/containers/{_container(unit)}/stop?t=10")

    def RestartUnit(self, unit: str, _mode: str) -> None:  # noqa: N802
        """Restart the container of a unit."""
        _docker("POST", f"/containers/{_container(unit)}/restart?t=10")

    def Reload(self) -> None:  # noqa: N802
        """Do nothing, because unit files are not read."""

    def EnableUnitFiles(self, *_arguments: Any) -> None:  # noqa: N802
        """Do nothing, because units are not started at boot."""

    def ListUnits(self) -> list[tuple[str, str, str, str, str]]:  # noqa: N802
        """Return each container as a unit, with its state as the fifth element."""
        return [
            (f"kolla-{name.lstrip('/')}-container.service", "", "loaded", "", _state(item["State"]))
            for item in _docker("GET", "/containers/json?all=1")
            for name in item["Names"]
        ]


def _state(state: str) -> str:
    """Return the state of the unit for a state of a container."""
    return "running" if state == "running" else "dead"

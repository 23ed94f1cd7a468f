# SPDX-License-Identifier: Apache-2.0
"""Stands in for systemd's bus where no init runs: kolla-ansible's container module starts containers as units.

What systemd would do, `docker start` and `docker stop`, is asked of Docker at once. So there is nothing to wait for.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from typing import Any

_UNIT = re.compile(r"kolla-(.+)-container\.service")


class _Docker(http.client.HTTPConnection):
    """Docker's API behind its usual socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect("/var/run/docker.sock")


def _docker(method: str, url: str) -> Any:
    """Take a request, return the data of its answer; raise where it is refused."""
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
    """Take a unit's name, return its container's."""
    found = _UNIT.fullmatch(unit)
    if not found:
        raise ValueError(unit)
    return found[1]


class SystemBus:
    """The bus, on which there is one object."""

    def get_object(self, _name: str, _path: str) -> None:
        """Return what `Interface` needs of it: nothing."""


class Interface:
    """systemd's manager, as far as it is called."""

    def __init__(self, _object: None, _name: str) -> None:
        pass

    def StartUnit(self, unit: str, _mode: str) -> None:  # noqa: N802
        """Take a unit's name, start its container."""
        _docker("POST", f"/containers/{_container(unit)}/start")

    def StopUnit(self, unit: str, _mode: str) -> None:  # noqa: N802
        """Take a unit's name, stop its container."""
        _docker("POST", f"/containers/{_container(unit)}/stop?t=10")

    def RestartUnit(self, unit: str, _mode: str) -> None:  # noqa: N802
        """Take a unit's name, restart its container."""
        _docker("POST", f"/containers/{_container(unit)}/restart?t=10")

    def Reload(self) -> None:  # noqa: N802
        """Reads units anew, of which there are none."""

    def EnableUnitFiles(self, *_arguments: Any) -> None:  # noqa: N802
        """Makes units start with the machine, which nothing does here."""

    def ListUnits(self) -> list[tuple[str, str, str, str, str]]:  # noqa: N802
        """Return each container as the unit that it would be, with its state in the fifth place."""
        return [
            (f"kolla-{name.lstrip('/')}-container.service", "", "loaded", "", _state(item["State"]))
            for item in _docker("GET", "/containers/json?all=1")
            for name in item["Names"]
        ]


def _state(state: str) -> str:
    """Take a container's state, return the unit's."""
    return "running" if state == "running" else "dead"

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Client of the Docker Engine API that needs only Python's standard library."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

SOCKET = "/var/run/docker.sock"


class DockerUnreachableError(Exception):
    """The engine does not answer; the message contains the reason."""


class DockerRefusedError(Exception):
    """The engine answers a request with an error; the message contains the reason."""


def _data(body: bytes) -> Any:
    """Return the data of a response body, or its text if it is not JSON."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def _message(status: int, data: Any) -> str:
    """Return the engine's error message, or the status if the response has no message."""
    text = data.get("message") if isinstance(data, dict) else data
    return str(text or "").strip() or f"status {status}"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DockerApi:
    """The Docker engine behind a Unix socket. Every request raises DockerUnreachableError if it is not answered."""

    def __init__(self, path: str, timeout: float = 20) -> None:
        self.path = path
        self.timeout = timeout

    def get(self, url: str) -> tuple[int, Any]:
        """Return the status and the data of a GET request."""
        status, body = self.raw(url)
        return status, _data(body)

    def file(self, container: str, path: str) -> bytes | None:
        """Return the content of a file in a container; None if it does not exist."""
        status, body = self.raw(f"/containers/{quote(container)}/archive?path={quote(path)}")
        if status != 200:
            return None
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            member = archive.extractfile(archive.next() or "")
            return member.read() if member else None

    def put_file(self, container: str, path: str, content: bytes, mode: int) -> None:
        """Write a file that belongs to root into a container. Raise DockerRefusedError if the engine refuses."""
        directory, _slash, name = path.rpartition("/")
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        url = f"/containers/{quote(container)}/archive?path={quote(directory)}"
        self.change("PUT", url, self.timeout, body=stream.getvalue())

    def kill(self, container: str, signal: str) -> None:
        """Send a signal, such as USR2, to the main process of a container. Raise DockerRefusedError on failure."""
        self.change("POST", f"/containers/{quote(container)}/kill?signal={quote(signal)}", self.timeout)

    def file_end(self, container: str, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file in a running or stopped container; empty if it does not exist."""
        with self._response("GET", f"/containers/{quote(container)}/archive?path={quote(path)}") as response:
            if response.status != 200:
                return b""
            # A log may be large: read it in chunks.
            end = b""
            with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=response, mode="r|") as archive:
                member = archive.next()
                content = archive.extractfile(member) if member else None
                while content and (chunk := content.read(1 << 20)):
                    end = (end + chunk)[-size:]
            return end

    def change(self, method: str, url: str, seconds: float, *, missing_ok: bool = False, body: Any = None) -> None:
        """Send a request that changes an object; with `missing_ok`, the object need not exist.

        `body` is data of JSON's types or a tar archive. Raise DockerRefusedError with the engine's message if the
        engine refuses.
        """
        with self._response(method, url, timeout=seconds, body=body) as response:
            if response.status >= 400 and not (missing_ok and response.status == 404):
                raise DockerRefusedError(_message(response.status, _data(response.read())))

    def raw(self, url: str) -> tuple[int, bytes]:
        """Return the status and the body of a GET request."""
        with self._response("GET", url) as response:
            return response.status, response.read()

    @contextlib.contextmanager
    def _response(
        self, method: str, url: str, timeout: float | None = None, body: Any = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yield the engine's response; the connection is closed afterwards."""
        connection = _UnixConnection(self.path, timeout or self.timeout)
        try:
            archive = isinstance(body, bytes)
            data = body if body is None or archive else json.dumps(body)
            kind = "application/x-tar" if archive else "application/json"
            connection.request(method, url, data, {} if data is None else {"Content-Type": kind})
            yield connection.getresponse()
        except FileNotFoundError as error:
            raise DockerUnreachableError("the socket does not exist") from error
        except PermissionError as error:
            raise DockerUnreachableError("permission denied; become root or join the group docker") from error
        except (OSError, http.client.HTTPException) as error:
            raise DockerUnreachableError(str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def version(self) -> dict[str, Any]:
        """Return the data of GET /version."""
        status, data = self.get("/version")
        if status != 200 or not isinstance(data, dict):
            raise DockerUnreachableError(f"the request for its version returned status {status}")
        return data

    def found(self, url: str) -> Any:
        """Return the data of a resource that always exists. Raise DockerRefusedError if the engine refuses."""
        status, data = self.get(url)
        if status != 200:
            raise DockerRefusedError(f"{url.partition('?')[0]}: {_message(status, data)}")
        return data

    def listing(self) -> list[dict[str, Any]]:
        """Return all containers as GET /containers/json lists them. Raise DockerRefusedError if the engine refuses."""
        listed: list[dict[str, Any]] = self.found("/containers/json?all=1") or []
        return listed

    def volumes(self) -> dict[str, dict[str, str]]:
        """Return the labels of all volumes by name. Raise DockerRefusedError if the engine refuses."""
        volumes = (self.found("/volumes") or {}).get("Volumes") or []
        return {str(volume["Name"]): volume.get("Labels") or {} for volume in volumes}

    def create_volume(self, name: str, labels: Mapping[str, str], check: bool = False) -> bool:
        """Create a volume if it does not exist; return whether it was absent. With `check`, do not create it."""
        absent = self.get(f"/volumes/{quote(name)}")[0] == 404
        if absent and not check:
            self.change("POST", "/volumes/create", self.timeout, body={"Name": name, "Labels": dict(labels)})
        return absent

    def networks(self) -> dict[str, dict[str, str]]:
        """Return the labels of all networks by name. Raise DockerRefusedError if the engine refuses."""
        return {str(network["Name"]): network.get("Labels") or {} for network in self.found("/networks") or []}

    def swarm_names(self, kind: str, label: str) -> list[str]:
        """Return the names of the Swarm's services or configs (`kind`) with a label.

        A node that is not a Swarm manager has none. Raise DockerRefusedError if a manager is locked or has no quorum.
        """
        try:
            found = self.found(f"/{kind}?filters={quote(json.dumps({'label': [label]}))}")
        except DockerRefusedError as error:
            text = str(error).lower()
            if "not a swarm manager" in text and "manager is being prepared" not in text:
                return []
            raise
        return sorted(str(item["Spec"]["Name"]) for item in found or [])

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers as ``{id, name, labels, image, state, pid, ports}``."""
        found = []
        for item in self.listing():
            pid = 0
            if item.get("State") == "running":
                status, details = self.get(f"/containers/{item['Id']}/json")
                pid = details["State"]["Pid"] if status == 200 else 0
            found.append(
                {
                    "id": item["Id"],
                    "name": (item.get("Names") or [item["Id"]])[0].lstrip("/"),
                    "labels": item.get("Labels") or {},
                    "image": item.get("Image", ""),
                    "state": item.get("State", ""),
                    "pid": pid,
                    "ports": [
                        (port.get("IP", ""), port["PublicPort"], port.get("Type", "tcp"))
                        for port in item.get("Ports") or []
                        if "PublicPort" in port
                    ],
                }
            )
        return found

    def has_image(self, image: str) -> bool:
        """Return whether an image exists on the host."""
        return self.get(f"/images/{quote(image)}/json")[0] == 200

    def registry_status(self, image: str) -> tuple[int, str]:
        """Return the status and the message of a request to an image's registry without a login."""
        status, data = self.get(f"/distribution/{quote(image)}/json")
        return status, data.get("message", "") if isinstance(data, dict) else str(data or "")

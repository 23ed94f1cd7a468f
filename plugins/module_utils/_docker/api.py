# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""The few calls of Docker's API that checks and backups need, with Python's standard library only."""

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
    """The engine does not answer; the message says why."""


class DockerRefusedError(Exception):
    """The engine answers a request with an error; the message says why."""


def _data(body: bytes) -> Any:
    """Return the data of an answer's body: its text where it is no JSON."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def _message(status: int, data: Any) -> str:
    """Return the engine's message in an answer that is an error, or the status where there is no message."""
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
    """Docker's engine behind a Unix socket."""

    def __init__(self, path: str, timeout: float = 20) -> None:
        self.path = path
        self.timeout = timeout

    def get(self, url: str) -> tuple[int, Any]:
        """Takes a URL's path, returns the answer's status and its data; raises DockerUnreachableError."""
        status, body = self.raw(url)
        return status, _data(body)

    def file(self, container: str, path: str) -> bytes | None:
        """Takes a container and the path of a file in it, returns the file's content, none if there is none."""
        status, body = self.raw(f"/containers/{quote(container)}/archive?path={quote(path)}")
        if status != 200:
            return None
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            member = archive.extractfile(archive.next() or "")
            return member.read() if member else None

    def put_file(self, container: str, path: str, content: bytes, mode: int) -> None:
        """Write a file that belongs to root into a container; raises as `change`."""
        directory, _slash, name = path.rpartition("/")
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        url = f"/containers/{quote(container)}/archive?path={quote(directory)}"
        self.change("PUT", url, self.timeout, body=stream.getvalue())

    def kill(self, container: str, signal: str) -> None:
        """Send a signal, such as USR2, to a container's first process; raises as `change`."""
        self.change("POST", f"/containers/{quote(container)}/kill?signal={quote(signal)}", self.timeout)

    def file_end(self, container: str, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file in a container, running or not; nothing where there is no such file.

        Raises DockerUnreachableError.
        """
        with self._answer("GET", f"/containers/{quote(container)}/archive?path={quote(path)}") as answer:
            if answer.status != 200:
                return b""
            # A log may be large: it passes by in pieces.
            end = b""
            with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=answer, mode="r|") as archive:
                member = archive.next()
                content = archive.extractfile(member) if member else None
                while content and (piece := content.read(1 << 20)):
                    end = (end + piece)[-size:]
            return end

    def change(self, method: str, url: str, seconds: float, *, missing_ok: bool = False, body: Any = None) -> None:
        """Request a change, which may take so many seconds; with `missing_ok`, of something that may be gone.

        `body` is the request's data, of JSON's types, or a tar archive. Raises DockerUnreachableError, and
        DockerRefusedError with the engine's message.
        """
        with self._answer(method, url, timeout=seconds, body=body) as answer:
            if answer.status >= 400 and not (missing_ok and answer.status == 404):
                raise DockerRefusedError(_message(answer.status, _data(answer.read())))

    def raw(self, url: str) -> tuple[int, bytes]:
        """Takes a URL's path, returns the answer's status and its body; raises DockerUnreachableError."""
        with self._answer("GET", url) as answer:
            return answer.status, answer.read()

    @contextlib.contextmanager
    def _answer(
        self, method: str, url: str, timeout: float | None = None, body: Any = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yield the engine's answer to a request, as long as it is read; raises DockerUnreachableError."""
        connection = _UnixConnection(self.path, timeout or self.timeout)
        try:
            archive = isinstance(body, bytes)
            data = body if body is None or archive else json.dumps(body)
            kind = "application/x-tar" if archive else "application/json"
            connection.request(method, url, data, {} if data is None else {"Content-Type": kind})
            yield connection.getresponse()
        except FileNotFoundError as error:
            raise DockerUnreachableError("there is no such socket") from error
        except PermissionError as error:
            raise DockerUnreachableError("permission denied; become root or join the group docker") from error
        except (OSError, http.client.HTTPException) as error:
            raise DockerUnreachableError(str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def version(self) -> dict[str, Any]:
        """Returns what the engine says about itself."""
        status, data = self.get("/version")
        if status != 200 or not isinstance(data, dict):
            raise DockerUnreachableError(f"it answers {status} when asked for its version")
        return data

    def found(self, url: str) -> Any:
        """Return the data of a list that the engine always has; raises DockerUnreachableError, DockerRefusedError."""
        status, data = self.get(url)
        if status != 200:
            raise DockerRefusedError(f"{url.partition('?')[0]}: {_message(status, data)}")
        return data

    def listing(self) -> list[dict[str, Any]]:
        """Return all containers as the engine lists them; raises as `found`."""
        listed: list[dict[str, Any]] = self.found("/containers/json?all=1") or []
        return listed

    def volumes(self) -> dict[str, dict[str, str]]:
        """Return the labels of all volumes by name; raises as `found`."""
        volumes = (self.found("/volumes") or {}).get("Volumes") or []
        return {str(volume["Name"]): volume.get("Labels") or {} for volume in volumes}

    def create_volume(self, name: str, labels: Mapping[str, str], check: bool = False) -> bool:
        """Create a volume, unless it exists or this is a check; return whether it did not exist; raises as `change`."""
        absent = self.get(f"/volumes/{quote(name)}")[0] == 404
        if absent and not check:
            self.change("POST", "/volumes/create", self.timeout, body={"Name": name, "Labels": dict(labels)})
        return absent

    def networks(self) -> dict[str, dict[str, str]]:
        """Return the labels of all networks by name; raises as `found`."""
        return {str(network["Name"]): network.get("Labels") or {} for network in self.found("/networks") or []}

    def swarm_names(self, kind: str, label: str) -> list[str]:
        """Return the names of the Swarm's `kind` (services, configs) with a label; raises as `found`.

        A node without a Swarm, or that does not manage it, has none. A manager that is locked, or that does not reach
        the others, cannot tell.
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
        """Return all containers as ``{id, name, labels, image, state, pid, ports}``; raises as `found`."""
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
        """Takes an image's name, returns whether the engine has it."""
        return self.get(f"/images/{quote(image)}/json")[0] == 200

    def registry_answer(self, image: str) -> tuple[int, str]:
        """Return the status and the message with which an image's registry answers a request without a login."""
        status, data = self.get(f"/distribution/{quote(image)}/json")
        return status, data.get("message", "") if isinstance(data, dict) else str(data or "")

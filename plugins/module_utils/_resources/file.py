# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A file on the host, and its copy in a running container that is not one of this collection's."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.qinling.kolla.plugins.module_utils._config import atomic_write
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import identity
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import (
    SOCKET,
    DockerApi,
    DockerRefusedError,
    DockerUnreachableError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource, Run

_SECONDS = 10
_VALIDATE_SECONDS = 60


class File(Resource):
    """A file.

    Keys: `path`, `content`, `mode` (octal, as text), and maybe `owner` and `group`; `secret` if no diff may show it;
    `create_only` if one that exists is the operator's; `directory_mode` if missing directories are created; `note` for
    the operator once it was written. `container` is one
    that has a copy: its `name`, the `path` inside, the `mode` there, the command `validate` that reads the new content
    from its standard input and fails where it is wrong, and the `signal` that makes it read the file. `apply` leaves a
    container without `signal` alone, and only validates with it.
    """

    def __init__(self, desired: Mapping[str, Any], run: Run) -> None:
        """Take the desired state, and how it is compared or applied."""
        super().__init__(desired, run)
        self.path = Path(desired["path"])
        self.content = str(desired["content"]).encode()
        self.container: Mapping[str, Any] = desired.get("container") or {}
        self._before = b""
        self._written = False

    def differences(self) -> list[str]:
        """Read file, owner and mode, and the content of the copy: that belongs to the container's own user."""
        return [*self._host_differences(), *self._container_differences()]

    def apply(self) -> None:
        """Write the file if its content is valid, copy it into the container, and signal this one."""
        if found := self._host_differences():
            self._write()
            self.done += found
        # In check mode, the copy differs where the file does.
        if found := self._container_differences():
            if not self.run.check:
                self._copy()
            self.done += found

    @property
    def diff(self) -> dict[str, str]:
        """Return the content before and after, unless it is secret."""
        if not self._written or self.desired.get("secret"):
            return {}
        before, after = self._before.decode("utf-8", "replace"), self.content.decode("utf-8", "replace")
        return {"before_header": str(self.path), "after_header": str(self.path), "before": before, "after": after}

    @property
    def _owner(self) -> tuple[int, int]:
        """Return the numbers of user and group; -1 is any."""
        user, group = (self.desired.get(key) for key in ("owner", "group"))
        return (identity(user, "user") if user else -1, identity(group, "group") if group else -1)

    def _host_differences(self) -> list[str]:
        if not self.path.is_file():
            return [str(self.path)]
        if self.desired.get("create_only"):
            return []
        if self.path.read_bytes() != self.content:
            return [str(self.path)]
        status = self.path.stat()
        user, group = self._owner
        wanted = (status.st_uid if user < 0 else user, status.st_gid if group < 0 else group, self._mode)
        fits = (status.st_uid, status.st_gid, status.st_mode & 0o7777) == wanted
        return [] if fits else [f"owner or mode of {self.path}"]

    def _container_differences(self) -> list[str]:
        if not self.container.get("signal"):
            return []
        name, path = self.container["name"], self.container["path"]
        return [] if DockerApi(SOCKET, _SECONDS).file(name, path) == self.content else [f"{path} in {name}"]

    @property
    def _mode(self) -> int:
        return int(str(self.desired["mode"]), 8)

    def _write(self) -> None:
        exists = self.path.is_file()
        self._before = self.path.read_bytes() if exists else b""
        if self._before != self.content or not exists:
            self._validate()
            self._written = True
        if self.run.check:
            return
        try:
            if self.desired.get("directory_mode"):
                for parent in reversed([parent for parent in self.path.parents if not parent.exists()]):
                    parent.mkdir()
                    parent.chmod(int(str(self.desired["directory_mode"]), 8))
            atomic_write.replace(self.path, self.content, f".{self.path.name}.", self._mode, self._owner)
        except OSError as error:
            raise QinlingError(f"{self.path} cannot be written: {error.strerror}") from error

    def _validate(self) -> None:
        """Raise QinlingError where the container's program refuses the content."""
        command = self.container.get("validate")
        if not command:
            return
        name = self.container["name"]
        _status, found = DockerApi(SOCKET, _SECONDS).get(f"/containers/{quote(name)}/json")
        if not found.get("State", {}).get("Running"):
            raise QinlingError(
                f"{self.path} was not written, as the container {name} does not run to validate it; start it"
            )
        try:
            subprocess.run(  # noqa: S603
                ["docker", "exec", "-i", name, *command],  # noqa: S607
                input=self.content,
                capture_output=True,
                check=True,
                timeout=_VALIDATE_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            text = (error.stderr or error.stdout).decode("utf-8", "replace").strip()
            raise QinlingError(f"{self.path} was not written, as {name} refuses the new content:\n{text}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise QinlingError(f"{self.path} was not written, as {name} cannot validate it: {error}") from error

    def _copy(self) -> None:
        docker = DockerApi(SOCKET, _SECONDS)
        name = self.container["name"]
        try:
            docker.put_file(name, self.container["path"], self.content, int(str(self.container["mode"]), 8))
            docker.kill(name, self.container["signal"])
        except (DockerRefusedError, DockerUnreachableError) as error:
            raise QinlingError(f"{self.container['path']} cannot be copied into {name}: {error}") from error

# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""File on the host, and its copy in a running container of another deployment tool."""

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

    Keys: `path`, `content`, `mode` (octal, as text), and optional `owner`, `group`, `secret` (diffs do not show the
    content), `create_only` (an existing file is not changed), `directory_mode` (missing directories are created) and
    `note` (for the operator, after the file was written).
    The optional `container` has a copy of the file. Its keys: `name`, `path` and `mode` of the copy, the command
    `validate`, which reads the new content from standard input and fails if it is invalid, and the `signal` that
    reloads the file. Without `signal`, the container only validates the content and its copy is not changed.
    """

    def __init__(self, desired: Mapping[str, Any], run: Run) -> None:
        """Prepare a comparison with the desired state, or its application."""
        super().__init__(desired, run)
        self.path = Path(desired["path"])
        self.content = str(desired["content"]).encode()
        self.container: Mapping[str, Any] = desired.get("container") or {}
        self._before = b""
        self._written = False

    def differences(self) -> list[str]:
        """Compare content, owner and mode of the file, and only the content of the copy: the container owns it."""
        return [*self._host_differences(), *self._container_differences()]

    def apply(self) -> None:
        """Write the file if its content is valid, copy it into the container, and send the signal."""
        if found := self._host_differences():
            self._write()
            self.done += found
        # In check mode, the copy differs if the file differs.
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
        """Return the numbers of user and group; -1 if not set."""
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
        desired = (status.st_uid if user < 0 else user, status.st_gid if group < 0 else group, self._mode)
        present = (status.st_uid, status.st_gid, status.st_mode & 0o7777)
        return [] if present == desired else [f"owner or mode of {self.path}"]

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
        """Raise QinlingError if the container's program rejects the content."""
        command = self.container.get("validate")
        if not command:
            return
        name = self.container["name"]
        _status, found = DockerApi(SOCKET, _SECONDS).get(f"/containers/{quote(name)}/json")
        if not found.get("State", {}).get("Running"):
            raise QinlingError(
                f"{self.path} was not written: the container {name}, which validates the file, does not run; start it"
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
            raise QinlingError(f"{self.path} was not written: {name} rejects the new content:\n{text}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise QinlingError(f"{self.path} was not written: {name} cannot validate the content: {error}") from error

    def _copy(self) -> None:
        docker = DockerApi(SOCKET, _SECONDS)
        name = self.container["name"]
        try:
            docker.put_file(name, self.container["path"], self.content, int(str(self.container["mode"]), 8))
            docker.kill(name, self.container["signal"])
        except (DockerRefusedError, DockerUnreachableError) as error:
            raise QinlingError(f"{self.container['path']} cannot be copied into {name}: {error}") from error

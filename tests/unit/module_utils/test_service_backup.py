# SPDX-License-Identifier: Apache-2.0
"""Backup and rollback of services: operations for each state of a host, and the content of directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker import service_backup as module
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import (
    DockerApi,
    DockerRefusedError,
    DockerUnreachableError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import LABEL


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DockerUnreachableError("the socket does not exist"), "docker.sock: the socket does not exist; correct"),
        (DockerRefusedError("no space left on device"), "docker.sock: no space left on device; correct the cause"),
        (PermissionError(13, "Permission denied"), "/etc/kolla: [Errno 13] Permission denied; expected a directory"),
    ],
)
def test_failure_text_has_the_location_and_the_advice(error: Exception, words: str) -> None:
    assert isinstance(error, module.FAILURES)
    assert words in module.failure_text(error, "/etc/kolla")


API = module.Service("api", "x_api", "i:2", "new")
ENGINE = module.Service("engine", "x_engine", "i:2", "new")
State = module.State


def container(
    definition: str = "old", image: str = "i:1", state: str = "running", status: str = "Up (healthy)"
) -> dict[str, Any]:
    return {"State": state, "Status": status, "Image": image, "Labels": {LABEL: definition}}


RUNNING = container()
STARTING = container(status="Up (health: starting)")
RESTARTING = container(state="restarting", status="Restarting (1)")


@pytest.mark.parametrize(
    ("state", "operations"),
    [
        (State(), []),
        (State(RUNNING, configuration=True), ["copy_configuration"]),
        # A run was interrupted after the configuration, the rename, or the creation of a container.
        (State(RUNNING, configuration=True, configuration_backup=True), []),
        (State(None, RUNNING, True, True), []),
        (State(STARTING, RUNNING, True, True), []),
        (State(STARTING, None, True, True, created=True), []),
        # The container of the interrupted run is now healthy.
        (
            State(RUNNING, RUNNING, True, True),
            ["remove_configuration_backup", "remove_backup", "copy_configuration"],
        ),
        (State(RUNNING, RUNNING, True, False), ["remove_backup", "copy_configuration"]),
        (State(RUNNING, None, True, True, created=True), ["remove_configuration_backup", "copy_configuration"]),
    ],
)
def test_prepare(state: module.State, operations: list[str]) -> None:
    assert [name for name, _argument in module.prepare(API, state)] == operations


@pytest.mark.parametrize(
    ("state", "operations"),
    [
        (State(), ["mark_created"]),
        (State(None, RUNNING), []),
        (State(container("new", "i:2")), []),
        (State(container("new", "i:1")), ["stop", "rename_to_backup"]),
        (State(container("old", "i:2")), ["stop", "rename_to_backup"]),
        (State(container(state="exited", status="Exited (0)")), ["stop", "rename_to_backup"]),
        (State({**RUNNING, "Labels": None}), ["stop", "rename_to_backup"]),
        (State(RESTARTING), ["stop", "remove", "mark_created"]),
        (State(container(state="created", status="Created")), ["stop", "remove", "mark_created"]),
        (State(RUNNING, RUNNING), ["stop", "remove"]),
        (State(RUNNING, created=True), ["stop", "remove"]),
    ],
)
def test_backup(state: module.State, operations: list[str]) -> None:
    assert [name for name, _argument in module.backup(API, state)] == operations


def test_backup_without_a_definition_is_unconditional() -> None:
    unconditional = module.Service("api", "x_api")
    assert module.backup(unconditional, State(container("", ""))) == [("stop", "x_api"), ("rename_to_backup", "x_api")]


RESTORE = [("stop", "x_api"), ("remove", "x_api"), ("rename_from_backup", "x_api"), ("restore_configuration", "api")]


@pytest.mark.parametrize(
    ("api", "engine", "operations"),
    [
        (State(), State(), []),
        (State(RUNNING), State(RUNNING), []),
        # Only the configuration was written.
        (State(RUNNING, None, True, True), State(RUNNING), [("restore_configuration", "api")]),
        (State(RESTARTING, RUNNING, True, True), State(RUNNING), [*RESTORE, ("start", "x_api")]),
        # The new container was not created.
        (State(None, RUNNING, True, True), State(RUNNING), [*RESTORE[2:], ("start", "x_api")]),
        (State(None, RUNNING, True, False), State(RUNNING), [RESTORE[2], ("start", "x_api")]),
        # All services of a project are restored before the first one is started.
        (
            State(RESTARTING, RUNNING, True, True),
            State(None, RUNNING),
            [*RESTORE, ("rename_from_backup", "x_engine"), ("start", "x_api"), ("start", "x_engine")],
        ),
        # A new service is removed if other services are restored; otherwise it stays for inspection.
        (
            State(RESTARTING, RUNNING, True, True),
            State(RUNNING, None, True, True, created=True),
            [
                *RESTORE,
                ("stop", "x_engine"),
                ("remove", "x_engine"),
                ("restore_configuration", "engine"),
                ("start", "x_api"),
            ],
        ),
        # A disabled service, whose container was not changed yet.
        (
            State(RESTARTING, RUNNING, True, True),
            State(RUNNING, configuration_backup=True),
            [*RESTORE, ("restore_configuration", "engine"), ("start", "x_api")],
        ),
        (
            State(RUNNING, None, True, True),
            State(RESTARTING, None, True, True, created=True),
            [("restore_configuration", "api"), ("remove_configuration_backup", "engine")],
        ),
    ],
)
def test_rollback(api: module.State, engine: module.State, operations: list[module.Operation]) -> None:
    assert module.rollback({API: api, ENGINE: engine}) == operations


@pytest.mark.parametrize(
    ("state", "operations"),
    [
        (State(RUNNING), []),
        (State(RUNNING, RUNNING, True, True), [("remove_configuration_backup", "api"), ("remove_backup", "x_api")]),
        (State(unfinished=True), [("remove_configuration_backup", "api")]),
    ],
)
def test_cleanup(state: module.State, operations: list[module.Operation]) -> None:
    assert module.cleanup(API, state) == operations


@pytest.mark.parametrize(
    ("found", "healthy"),
    [
        (None, False),
        (RUNNING, True),
        (STARTING, False),
        (container(status="Up (unhealthy)"), False),
        (container(status="Up 3 seconds"), True),
        (RESTARTING, False),
    ],
)
def test_is_healthy(found: dict[str, Any] | None, healthy: bool) -> None:
    assert module.is_healthy(found) is healthy


@pytest.mark.parametrize(
    ("name", "labels", "found"),
    [
        ("x_api_backup", {module.SERVICE: "api"}, True),
        ("x_api_backup", {module.SERVICE: "engine"}, False),
        ("x_api_backup", {}, False),
        ("x_api_backup", None, False),
        ("y_api_backup", {module.SERVICE: "api"}, False),
    ],
)
def test_backup_is_identified_by_its_label(name: str, labels: dict[str, str] | None, found: bool) -> None:
    """A container of the operator may have the name of a backup; it is neither started nor removed."""
    listed = {name: {**RUNNING, "Labels": labels}}
    assert module.backup_of("api", "x_api", listed) == (listed[name] if found else None)


@pytest.fixture
def host(tmp_path: Path) -> module.Host:
    """Return a host without containers, but with a configuration of the API."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api").chmod(0o770)
    (tmp_path / "api/api.conf").write_text("earlier")
    (tmp_path / "api/api.conf").chmod(0o640)
    return module.Host(DockerApi(str(tmp_path / "no-socket")), tmp_path, 60)


def written(host: module.Host) -> dict[str, str]:
    files = (path for path in sorted(host.root.rglob("*")) if path.is_file())
    return {str(path.relative_to(host.root)): path.read_text() for path in files}


def test_configuration_is_restored_with_its_modes(host: module.Host) -> None:
    (host.root / ".backup-api.unfinished").mkdir()
    host.copy_configuration("api")
    assert written(host) == {"api/api.conf": "earlier", ".backup-api/api.conf": "earlier"}
    (host.root / "api/api.conf").write_text("later")
    (host.root / "api/new.conf").touch()
    host.mark_created("api")
    host.restore_configuration("api")
    assert written(host) == {"api/api.conf": "earlier"}
    assert [path.name for path in host.root.iterdir()] == ["api"]
    assert ((host.root / "api/api.conf").stat().st_mode & 0o777, (host.root / "api").stat().st_mode & 0o777) == (
        0o640,
        0o770,
    )


def test_configuration_of_a_new_service_is_removed(host: module.Host) -> None:
    host.mark_created("api")
    assert (host.root / ".backup-api").stat().st_mode & 0o777 == 0o700
    host.restore_configuration("api")
    assert list(host.root.iterdir()) == []


def test_cleanup_does_not_remove_the_configuration(host: module.Host) -> None:
    host.copy_configuration("api")
    (host.root / ".backup-api.unfinished").mkdir()
    host.run([("remove_configuration_backup", "api")])
    assert [path.name for path in host.root.iterdir()] == ["api"]

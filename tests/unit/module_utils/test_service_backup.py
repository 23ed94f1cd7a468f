# SPDX-License-Identifier: Apache-2.0
"""Backup and rollback of services: what is decided for each state of a host, and what becomes of directories."""

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
        (DockerUnreachableError("there is no such socket"), "docker.sock: there is no such socket; run the same"),
        (DockerRefusedError("no space left on device"), "docker.sock: no space left on device; run the same"),
        (PermissionError(13, "Permission denied"), "/etc/kolla: [Errno 13] Permission denied; expected a directory"),
    ],
)
def test_a_failure_names_the_place_and_what_to_do(error: Exception, words: str) -> None:
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
        # An interrupted run got as far as the configuration, or the rename, or a new container not seen healthy.
        (State(RUNNING, configuration=True, configuration_backup=True), []),
        (State(None, RUNNING, True, True), []),
        (State(STARTING, RUNNING, True, True), []),
        (State(STARTING, None, True, True, created=True), []),
        # It got as far as a new container that is healthy by now.
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


def test_backup_without_a_definition_is_made_in_any_case() -> None:
    unconditional = module.Service("api", "x_api")
    assert module.backup(unconditional, State(container("", ""))) == [("stop", "x_api"), ("rename_to_backup", "x_api")]


BACK = [("stop", "x_api"), ("remove", "x_api"), ("rename_from_backup", "x_api"), ("restore_configuration", "api")]


@pytest.mark.parametrize(
    ("api", "engine", "operations"),
    [
        (State(), State(), []),
        (State(RUNNING), State(RUNNING), []),
        # Only the configuration was written.
        (State(RUNNING, None, True, True), State(RUNNING), [("restore_configuration", "api")]),
        (State(RESTARTING, RUNNING, True, True), State(RUNNING), [*BACK, ("start", "x_api")]),
        # The new one was not made, or the run was interrupted before.
        (State(None, RUNNING, True, True), State(RUNNING), [*BACK[2:], ("start", "x_api")]),
        (State(None, RUNNING, True, False), State(RUNNING), [BACK[2], ("start", "x_api")]),
        # All of a project's services go back before the first is started.
        (
            State(RESTARTING, RUNNING, True, True),
            State(None, RUNNING),
            [*BACK, ("rename_from_backup", "x_engine"), ("start", "x_api"), ("start", "x_engine")],
        ),
        # A service that is new is removed where the others go back, and stays for inspection where none can.
        (
            State(RESTARTING, RUNNING, True, True),
            State(RUNNING, None, True, True, created=True),
            [
                *BACK,
                ("stop", "x_engine"),
                ("remove", "x_engine"),
                ("restore_configuration", "engine"),
                ("start", "x_api"),
            ],
        ),
        # Switched off: its container was not reached yet.
        (
            State(RESTARTING, RUNNING, True, True),
            State(RUNNING, configuration_backup=True),
            [*BACK, ("restore_configuration", "engine"), ("start", "x_api")],
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
def test_a_backup_is_known_by_its_label(name: str, labels: dict[str, str] | None, found: bool) -> None:
    """An operator's own container may have the name of a backup: it is neither started nor removed."""
    listed = {name: {**RUNNING, "Labels": labels}}
    assert module.backup_of("api", "x_api", listed) == (listed[name] if found else None)


@pytest.fixture
def host(tmp_path: Path) -> module.Host:
    """A host without containers, on which the API has a configuration."""
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


def test_configuration_of_a_service_that_had_none_is_removed(host: module.Host) -> None:
    host.mark_created("api")
    assert (host.root / ".backup-api").stat().st_mode & 0o777 == 0o700
    host.restore_configuration("api")
    assert list(host.root.iterdir()) == []


def test_cleanup_leaves_the_configuration(host: module.Host) -> None:
    host.copy_configuration("api")
    (host.root / ".backup-api.unfinished").mkdir()
    host.run([("remove_configuration_backup", "api")])
    assert [path.name for path in host.root.iterdir()] == ["api"]

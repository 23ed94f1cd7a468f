# SPDX-License-Identifier: Apache-2.0
"""Tests of resources on a deployment: a schema in its MariaDB, a file in a container."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.database import Database
from ansible_collections.qinling.kolla.plugins.module_utils._resources.file import File
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource, Run
from deployment import Deployment, run

# Contains a wildcard, a quotation mark and a placeholder, which must have no effect in a name.
SCHEMA = "test_of%`resources"
USER = "test_of_resources"
CONTAINER = "test_of_resources"


@pytest.fixture(scope="module")
def server(deployment: Deployment) -> dict[str, Any]:
    """Return the address and the administrator of the deployment's MariaDB."""
    if deployment.kubernetes:
        pytest.skip("tested on Docker Swarm")
    return {
        "host": "127.0.0.1",
        "port": deployment.settings["database_port"],
        "tls": False,
        "admin_user": "root",
        "admin_password": deployment.passwords["database_password"],
    }


@pytest.fixture
def admin(server: dict[str, Any]) -> Iterator[Any]:
    """Return a cursor of the administrator; remove schema and user at the end."""
    connection = pymysql.connect(
        host=server["host"], port=server["port"], user="root", password=server["admin_password"]
    )
    with connection, connection.cursor() as cursor:
        yield cursor
        cursor.execute("DROP DATABASE IF EXISTS `" + SCHEMA.replace("`", "``") + "`")
        cursor.execute(f"DROP USER IF EXISTS {USER}")


def database(server: dict[str, Any], password: str = "it's 100% %s", **run: Any) -> Database:
    return Database({**server, "name": SCHEMA, "user": USER, "password": password}, Run(**run))


def applied(resource: Resource) -> list[str]:
    resource.apply()
    return resource.done


def test_schema_and_user_are_created(server: dict[str, Any], admin: Any) -> None:
    everything = [f"schema {SCHEMA}", f"user {USER}", f"privileges of {USER} on schema {SCHEMA}"]
    assert applied(database(server, check=True)) == everything
    assert not admin.execute("SELECT 1 FROM mysql.user WHERE User = %s", (USER,))
    assert applied(database(server)) == everything
    assert database(server).differences() == []
    assert applied(database(server)) == []
    # Privileges on the user's schema only, not on other schemas that its name would match as a pattern.
    admin.execute(f"SHOW GRANTS FOR {USER}")
    grants = [row[0] for row in admin.fetchall() if "ALL PRIVILEGES" in row[0]]
    assert len(grants) == 1
    assert r"`test\_of\%``resources`" in grants[0]


def test_different_password_is_set(server: dict[str, Any], admin: Any) -> None:
    applied(database(server))
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        database(server, "another").differences()
    done = [f"password of user {USER}"]
    assert applied(database(server, "another", check=True)) == done
    assert database(server).differences() == []
    assert applied(database(server, "another")) == done
    assert database(server, "another").differences() == []


def test_revoked_privileges_are_granted(server: dict[str, Any], admin: Any) -> None:
    applied(database(server))
    admin.execute(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {USER}")
    assert applied(database(server)) == [f"privileges of {USER} on schema {SCHEMA}"]
    assert database(server).differences() == []


def test_wrong_administrator_password_is_reported(server: dict[str, Any]) -> None:
    with pytest.raises(QinlingError, match=r"Access denied for user 'root'.*check database_password"):
        applied(database({**server, "admin_password": "wrong"}))


@pytest.fixture
def container(deployment: Deployment) -> Iterator[str]:
    """Return the name of a container that records its signals."""
    image = deployment.inspect("memcached")["Config"]["Image"]
    command = "trap 'echo reloaded >> /tmp/signals' USR2; while :; do sleep 0.1; done"
    run(
        "docker",
        "run",
        "--detach",
        "--rm",
        "--name",
        CONTAINER,
        "--user",
        "root",
        "--entrypoint",
        "bash",
        image,
        "-c",
        command,
    )
    yield CONTAINER
    run("docker", "rm", "--force", CONTAINER)


def test_valid_file_is_copied_to_container(container: str, tmp_path: Path) -> None:
    path = tmp_path / "some.cfg"
    desired: dict[str, Any] = {
        "path": str(path),
        "content": "valid\n",
        "mode": "0640",
        "owner": str(os.getuid()),
        "group": str(os.getgid()),
        "container": {
            "name": container,
            "path": "/tmp/some.cfg",
            "mode": "0600",
            "signal": "USR2",
            "validate": ["sh", "-c", "grep -q '^valid' /dev/stdin || { echo it is not valid >&2; exit 1; }"],
        },
    }
    both = [str(path), f"/tmp/some.cfg in {container}"]
    assert applied(File(desired, Run(check=True))) == both
    assert not path.exists()
    assert applied(File(desired, Run())) == both
    assert (File(desired, Run()).differences(), applied(File(desired, Run()))) == ([], [])
    shown = run(
        "docker",
        "exec",
        container,
        "sh",
        "-c",
        "stat -c '%a %U' /tmp/some.cfg; cat /tmp/some.cfg; sleep 0.5; cat /tmp/signals",
    )
    assert shown.split("\n") == ["600 root", "valid", "reloaded", ""]

    for check in (True, False):
        with pytest.raises(QinlingError, match=r"was not written(.|\n)*it is not valid") as raised:
            applied(File({**desired, "content": "wrong\n"}, Run(check=check)))
        assert container in str(raised.value)
    assert path.read_text() == "valid\n"

    # Only the container's file differs, so only that is copied.
    subprocess.run(["docker", "exec", container, "rm", "/tmp/some.cfg"], check=True)
    assert applied(File(desired, Run())) == both[1:]
    unsignalled = {**desired["container"], "signal": ""}
    assert applied(File({**desired, "content": "valid too\n", "container": unsignalled}, Run())) == both[:1]
    assert run("docker", "exec", container, "cat", "/tmp/some.cfg") == "valid\n"

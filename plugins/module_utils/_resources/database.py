# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""A schema on a MariaDB or MySQL server, and its user.

In place of community.mysql's mysql_db and mysql_user, and of wait_for: for two projects 2.1 s instead of 5.1 s,
most of which was the start of six modules.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource, library

_SECONDS = 10
_POLL_SECONDS = 0.3
# Numbers of errors: the server is not reached (client), the user or its password is wrong (server).
_UNREACHED = (2002, 2003, 2013)
_ACCESS_DENIED = 1045
_SCHEMA_EXISTS = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
_USER_EXISTS = "SELECT 1 FROM mysql.user WHERE User = %s AND Host = '%%'"


class Database(Resource):
    """A schema and a user with all privileges on it, who may connect from everywhere.

    Keys: `host` and `port` of the server, `tls` and maybe `ca_cert` (otherwise the system's CAs), `name` of the schema,
    `user` and `password`, and who creates them: `admin_user`, `admin_password`.
    """

    def differences(self) -> list[str]:
        """Log in as the user, and read its privileges."""
        with self._connect("user", "password", database=self.desired["name"]) as connection:
            return [] if self._granted(connection, "SHOW GRANTS") else [self._privileges]

    def apply(self) -> None:
        """Create what is missing as the administrator; set the user's password where it cannot log in."""
        name, user, password = (str(self.desired[key]) for key in ("name", "user", "password"))
        schema = _quoted(name)
        # In a grant, these would be wildcards.
        granted = schema.replace("_", r"\_").replace("%", r"\%%")
        try:
            with self._wait_for_server() as admin:
                user_exists = self._exists(admin, _USER_EXISTS, user)
                steps = [
                    (
                        f"schema {name}",
                        not self._exists(admin, _SCHEMA_EXISTS, name),
                        f"CREATE DATABASE {schema} CHARACTER SET utf8mb4",
                        None,
                    ),
                    (f"user {user}", not user_exists, "CREATE USER %s@'%%' IDENTIFIED BY %s", (user, password)),
                    (
                        f"password of user {user}",
                        user_exists and not self._can_log_in(),
                        "ALTER USER %s@'%%' IDENTIFIED BY %s",
                        (user, password),
                    ),
                    (
                        self._privileges,
                        not user_exists or not self._granted(admin, "SHOW GRANTS FOR %s@'%%'", user),
                        f"GRANT ALL PRIVILEGES ON {granted}.* TO %s@'%%'",
                        (user,),
                    ),
                ]
                for what, needed, statement, values in steps:
                    if needed and not self.run.check:
                        with admin.cursor() as cursor:
                            cursor.execute(statement, values)
                    self.done += [what] if needed else []
        except self._errors as error:
            raise QinlingError(f"{self._server}: {error.args[-1]}") from error

    @property
    def _server(self) -> str:
        return f"database server {self.desired['host']}:{self.desired['port']}"

    @property
    def _privileges(self) -> str:
        return f"privileges of {self.desired['user']} on schema {self.desired['name']}"

    @property
    def _errors(self) -> Any:
        return library("pymysql", "PyMySQL").Error

    def _connect(self, user: str, password: str, database: str | None = None) -> Any:
        """Return a connection as the user that these keys of the desired state name."""
        return library("pymysql", "PyMySQL").connect(
            host=self.desired["host"],
            port=int(self.desired["port"]),
            user=self.desired[user],
            password=self.desired[password],
            database=database,
            ssl=ssl.create_default_context(cafile=self.desired.get("ca_cert") or None) if self.desired["tls"] else None,
            connect_timeout=_SECONDS,
            # What changes something waits for all servers of a cluster.
            read_timeout=max(_SECONDS, self.run.wait),
        )

    def _wait_for_server(self) -> Any:
        """Return a connection of the administrator, as soon as the server answers."""
        deadline = time.monotonic() + self.run.wait
        while True:
            try:
                return self._connect("admin_user", "admin_password")
            except self._errors as error:
                if error.args[0] == _ACCESS_DENIED:
                    raise QinlingError(
                        f"{self._server}: {error.args[-1]}; the administrator is {self.desired['admin_user']}, check "
                        "database_password in passwords.yml"
                    ) from error
                if isinstance(getattr(error, "original_exception", None), ssl.SSLError):
                    raise QinlingError(
                        f"{self._server}: {error.args[-1]}; expected a certificate of this name that "
                        f"{self.desired.get('ca_cert') or 'a CA of the system'} has signed; check "
                        "kolla_admin_openrc_cacert and database_address"
                    ) from error
                if error.args[0] not in _UNREACHED:
                    raise
                if time.monotonic() >= deadline:
                    raise UnansweredError(
                        f"{self._server} does not answer within {self.run.wait} seconds: {error.args[-1]}; "
                        "start it, or check database_address and database_port"
                    ) from error
            time.sleep(_POLL_SECONDS)

    def _can_log_in(self) -> bool:
        try:
            # ProxySQL lets in whom it knows; the server behind it is needed for a query only.
            with self._connect("user", "password") as connection:
                self._exists(connection, "SELECT CURRENT_USER()")
        except self._errors as error:
            if error.args[0] != _ACCESS_DENIED:
                raise
            return False
        return True

    @staticmethod
    def _exists(connection: Any, query: str, *values: str) -> bool:
        with connection.cursor() as cursor:
            return bool(cursor.execute(query, values))

    def _granted(self, connection: Any, query: str, *values: str) -> bool:
        """Return whether one of the grants that the query lists is the desired one."""
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            grants = [str(row[0]) for row in cursor.fetchall()]
        # The server escapes what would be a wildcard in a schema's name.
        wanted = f"GRANT ALL PRIVILEGES ON {_quoted(self.desired['name'])}."
        return any(grant.replace("\\", "").startswith(wanted) for grant in grants)


def _quoted(name: str) -> str:
    """Return a schema's name in the quotation marks of SQL."""
    return "`" + name.replace("`", "``") + "`"

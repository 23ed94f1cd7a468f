# SPDX-License-Identifier: Apache-2.0
"""The state of Qinling's database: current, outdated, or half-migrated.

MariaDB's DDL is not transactional: an interrupted migration leaves its first changes in the database and fails on them
when it runs again. Services of Qinling 5.0.0 also create tables themselves, after which no migration succeeds. Both
cases are detected by comparing the schema with the effects of each migration.
"""

import contextlib
import dataclasses
import enum
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import pool

LOG = logging.getLogger(__name__)

VERSION_TABLE = "alembic_version"

# {table: {column: nullable}}.
Schema = Mapping[str, Mapping[str, bool]]


# The types of the columns whose nullability migrations change.
_TYPES = {"memory_size": "INTEGER", "function_id": "VARCHAR(36)", "function_version": "INTEGER"}


@dataclasses.dataclass(frozen=True)
class Effect:
    """One change of a migration: a new table, a new column, or the nullability of a column."""

    table: str
    column: str | None = None
    nullable: bool | None = None

    def present(self, schema: Schema) -> bool:
        """Return whether ``schema`` contains this change."""
        columns = schema.get(self.table)
        if columns is None:
            return False
        if self.column is None:
            return True
        if self.column not in columns:
            return False
        return self.nullable is None or columns[self.column] == self.nullable

    def undo(self) -> str | None:
        """Return the SQL that reverts the change, or None if the migration can apply it again."""
        if self.nullable is not None:
            return None
        if self.column is None:
            return f"DROP TABLE {self.table};"
        return f"ALTER TABLE {self.table} DROP COLUMN {self.column};"

    def redo(self) -> str | None:
        """Return the SQL that applies the change if that is safe on tables with rows: a changed nullability."""
        if self.nullable is None or self.column is None:
            return None
        return f"ALTER TABLE {self.table} MODIFY {self.column} {_TYPES[self.column]} {self._null()};"

    def _null(self) -> str:
        return "NULL" if self.nullable else "NOT NULL"

    def __str__(self) -> str:
        if self.column is None:
            return f"table {self.table}"
        if self.nullable is None:
            return f"column {self.table}.{self.column}"
        return f"column {self.table}.{self.column} {self._null()}"


# The effects of each migration of Qinling 5.0.0 (qinling/db/sqlalchemy/migration/alembic_migrations/versions).
# A unit test compares them with the migrations.
MIGRATIONS: Mapping[str, tuple[Effect, ...]] = {
    "001": tuple(Effect(table) for table in ("runtimes", "functions", "executions", "jobs", "webhooks")),
    "002": (
        Effect("function_versions"),
        Effect("functions", "latest_version"),
        Effect("executions", "function_version"),
        Effect("jobs", "function_version"),
        Effect("webhooks", "function_version"),
    ),
    "003": (Effect("functions", "cpu"), Effect("functions", "memory_size", False)),
    "004": (Effect("function_aliases"),),
    "005": (Effect("runtimes", "trusted"),),
    "006": (Effect("jobs", "function_alias"),),
    "007": (Effect("jobs", "function_id", True),),
    "008": (Effect("executions", "function_alias"),),
    "009": (Effect("webhooks", "function_alias"),),
    "010": (Effect("executions", "function_id", True),),
    "011": (Effect("webhooks", "function_id", True), Effect("webhooks", "function_version", True)),
}
REVISIONS = tuple(MIGRATIONS)
FIRST, HEAD = REVISIONS[0], REVISIONS[-1]
TABLES = tuple(effect.table for effects in MIGRATIONS.values() for effect in effects if effect.column is None)
# Tables with foreign keys come first.
DROP_ORDER = ("function_aliases", "function_versions", "jobs", "webhooks", "executions", "functions", "runtimes")


class State(enum.Enum):
    """The migration state of a database."""

    CURRENT = "current"
    OUTDATED = "outdated"
    BROKEN = "half-migrated"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A database's state with its reason, details and remedy, as text for an operator."""

    state: State
    revision: str | None
    reason: str
    details: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the finding as lines of text."""
        result = [f"The database is {self.state.value}: {self.reason}."]
        result += [f"  - {detail}" for detail in self.details]
        if self.remedy:
            result.append("What to do:")
            result += [f"  {step}" for step in self.remedy]
        return result


def _listed(effects: Sequence[Effect]) -> str:
    return ", ".join(str(effect) for effect in effects)


def _undo(effects: Sequence[Effect]) -> list[str]:
    """Return the SQL that reverts ``effects``; columns of dropped tables need no statement."""
    dropped = {effect.table for effect in effects if effect.column is None}
    tables = [f"DROP TABLE {table};" for table in DROP_ORDER if table in dropped]
    columns = [
        sql
        for effect in effects
        if effect.column and effect.table not in dropped and (sql := effect.undo()) is not None
    ]
    return columns + tables


def _complete(missing: Sequence[Effect]) -> list[str] | None:
    """Return the SQL that applies ``missing``, None if it contains more than changes of nullability."""
    statements = [effect.redo() for effect in missing]
    if None in statements:
        return None
    return [f"  {sql}" for sql in statements]


_UPGRADE = "qinling-db-manage upgrade head"
_BACKUP = "Stop Qinling's services and take a backup of this database first."


def _without_revision(schema: Schema) -> Finding:
    """Classify a database that has tables of Qinling but no recorded revision."""
    present = [effect for effects in MIGRATIONS.values() for effect in effects if effect.present(schema)]
    # Columns such as memory_size are nullable since 001; only effects beyond 001 indicate another origin.
    later = [effect for effect in present if effect not in MIGRATIONS[FIRST] and effect.nullable is None]
    tables = [table for table in TABLES if table in schema]
    if not later:
        # Migration 001 creates with IF NOT EXISTS: it may simply run again.
        return Finding(
            State.OUTDATED,
            None,
            f"migration {FIRST} was interrupted and can be run again",
            (f"existing tables: {', '.join(tables)}",),
            (_UPGRADE,),
        )
    missing = [effect for effects in MIGRATIONS.values() for effect in effects if not effect.present(schema)]
    details = [
        f"existing tables: {', '.join(tables)}",
        "no migration is recorded, but these belong to later migrations: " + _listed(later),
    ]
    if missing:
        details.append("missing: " + _listed(missing))
    remedy = [_BACKUP]
    completing = _complete(missing)
    if completing is not None:
        remedy.append("If you need the data in the tables, complete them and record the revision:")
        remedy += [*completing, "  qinling-db-manage stamp head", "Otherwise remove the tables and migrate:"]
    remedy += [f"  DROP TABLE {', '.join(table for table in DROP_ORDER if table in schema)};", f"  {_UPGRADE}"]
    return Finding(
        State.BROKEN, None, "a service created tables before any migration ran", tuple(details), tuple(remedy)
    )


def classify(schema: Schema, recorded: Sequence[str]) -> Finding:
    """Return the state of a database with the given ``schema``.

    ``recorded`` has the rows of alembic's version table, and is empty if the table does not exist.
    """
    if len(recorded) > 1:
        return Finding(
            State.BROKEN,
            None,
            f"table {VERSION_TABLE} has {len(recorded)} rows; expected one",
            (f"rows: {', '.join(sorted(recorded))}",),
            (_BACKUP, "Remove the wrong rows."),
        )
    if not recorded:
        if not any(table in schema for table in TABLES):
            return Finding(State.OUTDATED, None, "it is empty", remedy=(_UPGRADE,))
        return _without_revision(schema)
    revision = recorded[0]
    if revision not in MIGRATIONS:
        return Finding(
            State.BROKEN,
            revision,
            f"its revision {revision} is unknown to Qinling 5.0.0, whose last revision is {HEAD}",
            remedy=("Check that [database] connection names Qinling's own database.",),
        )
    position = REVISIONS.index(revision)
    done = [effect for name in REVISIONS[: position + 1] for effect in MIGRATIONS[name]]
    missing = [effect for effect in done if not effect.present(schema)]
    if missing:
        completing = _complete(missing)
        steps = ["Restore the database from a backup, or drop all its tables and run:", f"  {_UPGRADE}"]
        if completing is not None:
            steps = ["Apply the missing changes:", *completing]
        return Finding(
            State.BROKEN,
            revision,
            f"revision {revision} is recorded, but its changes are incomplete",
            ("missing: " + _listed(missing),),
            (_BACKUP, *steps),
        )
    ahead = {
        name: found
        for name in REVISIONS[position + 1 :]
        if (found := [effect for effect in MIGRATIONS[name] if effect.present(schema)])
    }
    if not ahead:
        if revision == HEAD:
            return Finding(State.CURRENT, revision, f"revision {revision}")
        return Finding(
            State.OUTDATED, revision, f"revision {revision} is recorded, {HEAD} is needed", remedy=(_UPGRADE,)
        )
    following = REVISIONS[position + 1]
    details = [f"already applied of migration {name}: {_listed(found)}" for name, found in ahead.items()]
    if set(ahead) == {following}:
        rest = [effect for effect in MIGRATIONS[following] if effect not in ahead[following]]
        undo = _undo(ahead[following])
        if not rest:
            return Finding(
                State.BROKEN,
                revision,
                f"migration {following} is complete but was not recorded",
                tuple(details),
                (f"qinling-db-manage stamp {following}", _UPGRADE),
            )
        if not undo:
            return Finding(
                State.OUTDATED,
                revision,
                f"migration {following} was interrupted and can be run again",
                tuple(details),
                (_UPGRADE,),
            )
        details.append(f"missing of migration {following}: {_listed(rest)}")
        return Finding(
            State.BROKEN,
            revision,
            f"migration {following} was interrupted",
            tuple(details),
            (_BACKUP, "Revert the first half and migrate:", *(f"  {sql}" for sql in undo), f"  {_UPGRADE}"),
        )
    return Finding(
        State.BROKEN,
        revision,
        f"revision {revision} is recorded, but the database has changes of later migrations",
        tuple(details),
        (
            _BACKUP,
            "If you do not need their data, revert these changes and migrate:",
            *(f"  {sql}" for sql in _undo([effect for found in ahead.values() for effect in found])),
            f"  {_UPGRADE}",
        ),
    )


class UnreachableError(Exception):
    """The database does not answer; the text contains address and kind of failure, never a secret or SQL."""


def address(url: str) -> str:
    """Return ``host:port/database`` of a database URL, without user and password."""
    parsed = sa.make_url(url)
    if not parsed.host:
        return f"{parsed.get_backend_name()}:{parsed.database or ''}"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.host}{port}/{parsed.database or ''}"


# Error numbers of MariaDB and PyMySQL with a cause that an operator can fix.
_MYSQL_REASONS = {
    1040: "too many connections",
    1044: "access denied to this database: see [database] connection",
    1045: "access denied: wrong user or password in [database] connection",
    1049: "no such database",
    2002: "connection refused or socket missing",
    2003: "no connection (host, port, or server down)",
    2013: "connection lost",
}


def failure_reason(error: BaseException) -> str:
    """Return why the database did not answer, without SQL, user or password."""
    original = getattr(error, "orig", None) or error
    number = original.args[0] if getattr(original, "args", ()) else None
    if isinstance(number, int) and number in _MYSQL_REASONS:
        return _MYSQL_REASONS[number]
    return type(original).__name__


def make_engine(url: str, timeout: int = 3) -> sa.Engine:
    """Return an engine that opens a connection for each use and never waits longer than ``timeout`` on the network.

    Qinling's own pool is not used: it may be exhausted, and must not be shared across a fork.
    """
    options = {}
    if sa.make_url(url).get_driver_name() == "pymysql":
        options = {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
    return sa.create_engine(url, poolclass=pool.NullPool, connect_args=options)


def recorded_revisions(connection: sa.Connection) -> list[str]:
    """Return the rows of alembic's version table, which must exist."""
    column = sa.column("version_num")
    return [str(row[0]) for row in connection.execute(sa.select(column).select_from(sa.table(VERSION_TABLE)))]


def inspect(url: str, timeout: int = 10) -> Finding:
    """Inspect the database and return its state; raise UnreachableError if it does not answer."""
    engine = make_engine(url, timeout)
    try:
        with engine.connect() as connection:
            inspector = sa.inspect(connection)
            names = set(inspector.get_table_names())
            schema = {
                table: {column["name"]: bool(column["nullable"]) for column in inspector.get_columns(table)}
                for table in TABLES
                if table in names
            }
            recorded = recorded_revisions(connection) if VERSION_TABLE in names else []
    except (sa.exc.DBAPIError, OSError) as error:
        raise UnreachableError(f"database {address(url)}: {failure_reason(error)}") from None
    finally:
        engine.dispose()
    return classify(schema, recorded)


def wait(
    url: str,
    limit: float | None = None,
    probe: Callable[[str], Finding] = inspect,
    sleep: Callable[[float], None] = time.sleep,
) -> Finding:
    """Return the database's state as soon as it answers, logging each failed attempt.

    Raise UnreachableError after ``limit`` seconds; with None, wait forever.
    """
    waited, pause = 0.0, 1.0
    while True:
        try:
            return probe(url)
        except UnreachableError as error:
            if limit is not None and waited >= limit:
                raise
            reason = str(error)
        LOG.warning("Waiting for the %s; next attempt in %d s", reason, pause)
        sleep(pause)
        waited += pause
        pause = min(pause * 2, 15.0)


@contextlib.contextmanager
def migration_lock(url: str, timeout: int = 60) -> Iterator[None]:
    """Hold a lock of the database server, so that only one host migrates at a time (MariaDB and MySQL only)."""
    if sa.make_url(url).get_backend_name() != "mysql":
        yield
        return
    engine = make_engine(url, timeout + 10)
    try:
        try:
            with engine.connect() as connection:
                name = f"qinling-db-manage:{sa.make_url(url).database}"[:64]
                if connection.execute(sa.select(sa.func.get_lock(name, timeout))).scalar() != 1:
                    raise UnreachableError(
                        f"database {address(url)}: another migration has been running for {timeout} s"
                    )
                yield
        except sa.exc.DBAPIError as error:
            raise UnreachableError(f"database {address(url)}: {failure_reason(error)}") from None
    finally:
        engine.dispose()


def forbid_table_creation() -> None:
    """Disable ``setup_db``, with which Qinling's services create missing tables without alembic."""
    from qinling.db.sqlalchemy import api

    api.setup_db = _tables_come_from_migrations


def _tables_come_from_migrations() -> None:
    """Replace ``setup_db``: the tables exist, as services start only on a migrated database."""

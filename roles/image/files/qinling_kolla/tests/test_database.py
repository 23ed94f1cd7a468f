# SPDX-License-Identifier: Apache-2.0
"""The database's states, with generated schemas, with real SQLite tables, and compared with the migrations."""

import copy
import importlib
import itertools
import pathlib
from typing import Any

import pytest
import sqlalchemy as sa

from qinling_kolla import database
from qinling_kolla.database import HEAD, MIGRATIONS, REVISIONS, Effect, State, classify

ALL = [effect for effects in MIGRATIONS.values() for effect in effects]


def schema_at(revision: Any) -> dict[str, Any]:
    """Return the schema after the migrations up to ``revision``."""
    schema: dict[str, dict[str, bool]] = {}
    for name in REVISIONS:
        if name > revision:
            break
        for effect in MIGRATIONS[name]:
            columns = schema.setdefault(effect.table, {"id": False})
            if effect.column:
                columns[effect.column] = bool(effect.nullable)
        if name == "001":
            schema["functions"]["memory_size"] = True
            for table in ("executions", "jobs", "webhooks"):
                schema[table]["function_id"] = False
    return schema


def with_changes(schema: Any, *changes: Any) -> Any:
    """Return a copy of ``schema`` with tables and ``table.column`` added."""
    result = copy.deepcopy(schema)
    for change in changes:
        table, _unused, column = change.partition(".")
        columns = result.setdefault(table, {"id": False})
        if column:
            columns[column] = True
    return result


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_complete_revision_is_current_or_outdated(revision: Any) -> None:
    finding = classify(schema_at(revision), [revision])
    assert finding.state is (State.CURRENT if revision == HEAD else State.OUTDATED)
    assert finding.revision == revision
    assert not finding.details


@pytest.mark.parametrize(
    ("schema", "recorded", "state", "reason", "mentions"),
    [
        ({}, [], State.OUTDATED, "empty", ["upgrade head"]),
        ({"somebody_elses": {"id": False}}, [], State.OUTDATED, "empty", []),
        (
            {"runtimes": {"id": False}, "functions": {"id": False, "memory_size": True}},
            [],
            State.OUTDATED,
            "migration 001 was interrupted and can be run again",
            ["runtimes, functions"],
        ),
        (
            schema_at(HEAD),
            [],
            State.BROKEN,
            "a service created tables",
            ["stamp head", "DROP TABLE function_aliases, function_versions, jobs"],
        ),
        (
            with_changes(schema_at(HEAD), "functions.memory_size"),
            [],
            State.BROKEN,
            "a service created tables",
            ["ALTER TABLE functions MODIFY memory_size INTEGER NOT NULL;", "stamp head"],
        ),
        (
            with_changes(schema_at("001"), "function_aliases"),
            [],
            State.BROKEN,
            "a service created tables",
            ["missing: table function_versions", "DROP TABLE function_aliases, jobs"],
        ),
        (
            with_changes(schema_at("001"), "function_versions", "functions.latest_version"),
            ["001"],
            State.BROKEN,
            "migration 002 was interrupted",
            [
                "already applied of migration 002: table function_versions, column functions.latest_version",
                "missing of migration 002: column executions.function_version",
                "ALTER TABLE functions DROP COLUMN latest_version;",
                "DROP TABLE function_versions;",
            ],
        ),
        (
            with_changes(schema_at("002"), "functions.cpu"),
            ["002"],
            State.BROKEN,
            "migration 003 was interrupted",
            ["DROP COLUMN cpu", "missing of migration 003: column functions.memory_size NOT NULL"],
        ),
        (schema_at("005"), ["004"], State.BROKEN, "migration 005 is complete but was not recorded", ["stamp 005"]),
        (
            with_changes(schema_at("010"), "webhooks.function_id"),
            ["010"],
            State.OUTDATED,
            "migration 011 was interrupted and can be run again",
            ["upgrade head"],
        ),
        (
            with_changes(schema_at("002"), "function_aliases"),
            ["002"],
            State.BROKEN,
            "has changes of later migrations",
            ["already applied of migration 004: table function_aliases", "DROP TABLE function_aliases;"],
        ),
        (
            {name: columns for name, columns in schema_at(HEAD).items() if name != "jobs"},
            [HEAD],
            State.BROKEN,
            "its changes are incomplete",
            ["missing: table jobs, column jobs.function_version"],
        ),
        (
            with_changes(schema_at(HEAD), "functions.memory_size"),
            [HEAD],
            State.BROKEN,
            "its changes are incomplete",
            ["ALTER TABLE functions MODIFY memory_size INTEGER NOT NULL;"],
        ),
        (schema_at(HEAD), ["abc"], State.BROKEN, "revision abc is unknown", ["[database] connection"]),
        (schema_at(HEAD), ["010", "011"], State.BROKEN, "2 rows", ["010, 011"]),
    ],
)
def test_states(schema: Any, recorded: list[Any], state: Any, reason: str, mentions: list[Any]) -> None:
    finding = classify(schema, recorded)
    text = "\n".join(finding.lines())
    assert finding.state is state, text
    assert reason in finding.reason
    for mention in mentions:
        assert mention in text


@pytest.mark.parametrize(
    ("revision", "effect"),
    [
        (revision, effect)
        for revision, following in itertools.pairwise(REVISIONS)
        for effect in MIGRATIONS[following]
        # Migrations of one step have no interrupted state.
        if effect.nullable is None and len(MIGRATIONS[following]) > 1
    ],
)
def test_remedy_repairs_each_interrupted_migration(revision: Any, effect: Any) -> None:
    schema = with_changes(schema_at(revision), f"{effect.table}.{effect.column}" if effect.column else effect.table)
    finding = classify(schema, [revision])
    assert finding.state is State.BROKEN
    for step in finding.remedy:
        words = step.strip().rstrip(";").split()
        if words[:2] == ["DROP", "TABLE"]:
            del schema[words[2]]
        elif words[:2] == ["ALTER", "TABLE"]:
            del schema[words[2]][words[5]]
    assert classify(schema, [revision]).state is State.OUTDATED


class RecordingOp:
    """A fake of alembic's ``op`` that records a migration's effects."""

    def __init__(self) -> None:
        self.effects: list[Any] = []

    def create_table(self, name: Any, *columns: Any, **kwargs: Any) -> None:
        self.effects.append(Effect(name))

    def add_column(self, table: Any, column: Any) -> None:
        self.effects.append(Effect(table, column.name))

    def alter_column(self, table: Any, column: Any, *, nullable: Any, **kwargs: Any) -> None:
        self.effects.append(Effect(table, column, nullable))


def test_effects_match_qinlings_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    package = importlib.import_module("qinling.db.sqlalchemy.migration.alembic_migrations.versions")
    found = {}
    for path in sorted(pathlib.Path(str(package.__file__)).parent.glob("0*.py")):
        migration = importlib.import_module(f"{package.__name__}.{path.stem}")
        recorder = RecordingOp()
        monkeypatch.setattr(migration, "op", recorder)
        migration.upgrade()
        found[migration.revision] = tuple(recorder.effects)
    assert found == MIGRATIONS


def test_drop_order_has_every_table_and_respects_references() -> None:
    from qinling.db.sqlalchemy import models

    assert sorted(database.DROP_ORDER) == sorted(database.TABLES)
    tables = models.Function.metadata.tables
    for table in database.DROP_ORDER:
        for key in tables[table].foreign_keys:
            assert database.DROP_ORDER.index(table) < database.DROP_ORDER.index(key.column.table.name)


@pytest.fixture
def sqlite_url(tmp_path: pathlib.Path) -> str:
    return f"sqlite:///{tmp_path / 'q.sqlite'}"


def run_sql(url: str, *statements: Any) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_inspect_reads_real_tables(sqlite_url: Any) -> None:
    assert database.inspect(sqlite_url).reason == "it is empty"
    run_sql(
        sqlite_url,
        *(
            f"CREATE TABLE {table} ("
            + ", ".join(f"{name} INTEGER {'' if null else 'NOT NULL'}" for name, null in columns.items())
            + ")"
            for table, columns in schema_at("002").items()
        ),
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('002')",
    )
    assert database.inspect(sqlite_url) == classify(schema_at("002"), ["002"])
    run_sql(sqlite_url, "ALTER TABLE functions ADD COLUMN cpu INTEGER")
    assert database.inspect(sqlite_url).reason == "migration 003 was interrupted"


def test_services_never_create_tables(sqlite_url: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qinling.db import api as db_api
    from qinling.db import base
    from qinling.db.sqlalchemy import api

    engine = sa.create_engine(sqlite_url)
    monkeypatch.setattr(base, "get_engine", lambda: engine)
    monkeypatch.setattr(api, "setup_db", api.setup_db)
    database.forbid_table_creation()
    db_api.setup_db()
    assert database.inspect(sqlite_url).reason == "it is empty"


def test_unreachable_database_is_reported_without_secrets(tmp_path: pathlib.Path) -> None:
    url = "mysql+pymysql://qinling:s3cret@127.0.0.1:1/qinling?charset=utf8"
    with pytest.raises(database.UnreachableError) as caught:
        database.inspect(url)
    assert "127.0.0.1:1/qinling: no connection" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_waiting_is_logged_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    answers = [database.UnreachableError("database x: gone")] * 6 + [classify({}, [])]
    pauses: list[float] = []

    def probe(url: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert database.wait("sqlite://", probe=probe, sleep=pauses.append).state is State.OUTDATED
    assert pauses == [1, 2, 4, 8, 15, 15]
    assert caplog.messages[0] == "Waiting for the database x: gone; next attempt in 1 s"
    # oslo.log repeats an exception that is being handled.
    assert all(record.exc_info is None for record in caplog.records)


def test_waiting_ends_at_its_limit() -> None:
    def probe(url: str) -> Any:
        raise database.UnreachableError("database x: gone")

    pauses: list[float] = []
    with pytest.raises(database.UnreachableError):
        database.wait("sqlite://", limit=10, probe=probe, sleep=pauses.append)
    assert sum(pauses) == 15


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://u:p@db.example:3306/qinling?charset=utf8", "db.example:3306/qinling"),
        ("mysql+pymysql://u:p@db.example/qinling", "db.example/qinling"),
        ("sqlite:////tmp/q.sqlite", "sqlite:/tmp/q.sqlite"),
    ],
)
def test_address_hides_credentials(url: str, shown: str) -> None:
    assert database.address(url) == shown

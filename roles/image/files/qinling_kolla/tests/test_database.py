# SPDX-License-Identifier: Apache-2.0
"""The database's states, by made-up schemas, by real tables in sqlite, and against the migrations themselves."""

import copy
import importlib
import pathlib

import pytest
import sqlalchemy as sa

from qinling_kolla import database
from qinling_kolla.database import HEAD, MIGRATIONS, REVISIONS, Effect, State, judge

ALL = [effect for effects in MIGRATIONS.values() for effect in effects]


def schema_at(revision):
    """Return the schema that the migrations up to ``revision`` leave behind."""
    schema = {}
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


def with_changes(schema, *changes):
    """Return a copy of ``schema`` with tables and ``table.column`` added."""
    result = copy.deepcopy(schema)
    for change in changes:
        table, _, column = change.partition(".")
        columns = result.setdefault(table, {"id": False})
        if column:
            columns[column] = True
    return result


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_complete_revision_is_sound(revision):
    finding = judge(schema_at(revision), [revision])
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
            "migration 001 stopped half way and can be run again",
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
            "migration 002 stopped half way",
            [
                "there already: table function_versions, column functions.latest_version",
                "missing: column executions.function_version",
                "ALTER TABLE functions DROP COLUMN latest_version;",
                "DROP TABLE function_versions;",
            ],
        ),
        (
            with_changes(schema_at("002"), "functions.cpu"),
            ["002"],
            State.BROKEN,
            "migration 003 stopped half way",
            ["DROP COLUMN cpu", "missing: column functions.memory_size NOT NULL"],
        ),
        (schema_at("005"), ["004"], State.BROKEN, "migration 005 is complete but was not recorded", ["stamp 005"]),
        (
            with_changes(schema_at("010"), "webhooks.function_id"),
            ["010"],
            State.OUTDATED,
            "migration 011 stopped half way and can be run again",
            ["upgrade head"],
        ),
        (
            with_changes(schema_at("002"), "function_aliases"),
            ["002"],
            State.BROKEN,
            "holds changes of later migrations",
            ["migration 004 there already: table function_aliases", "DROP TABLE function_aliases;"],
        ),
        (
            {name: columns for name, columns in schema_at(HEAD).items() if name != "jobs"},
            [HEAD],
            State.BROKEN,
            "what it implies is not there",
            ["missing: table jobs, column jobs.function_version"],
        ),
        (
            with_changes(schema_at(HEAD), "functions.memory_size"),
            [HEAD],
            State.BROKEN,
            "what it implies is not there",
            ["ALTER TABLE functions MODIFY memory_size INTEGER NOT NULL;"],
        ),
        (schema_at(HEAD), ["abc"], State.BROKEN, "revision abc is unknown", ["[database] connection"]),
        (schema_at(HEAD), ["010", "011"], State.BROKEN, "2 rows", ["010, 011"]),
    ],
)
def test_states(schema, recorded, state, reason, mentions):
    finding = judge(schema, recorded)
    text = "\n".join(finding.lines())
    assert finding.state is state, text
    assert reason in finding.reason
    for mention in mentions:
        assert mention in text


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_taking_back_what_the_remedy_names_makes_each_half_migration_sound(revision):
    following = REVISIONS[REVISIONS.index(revision) + 1]
    for effect in MIGRATIONS[following]:
        if effect.nullable is not None or len(MIGRATIONS[following]) == 1:
            continue
        schema = with_changes(
            schema_at(revision), *([f"{effect.table}.{effect.column}"] if effect.column else [effect.table])
        )
        finding = judge(schema, [revision])
        assert finding.state is State.BROKEN
        for step in finding.remedy:
            words = step.strip().rstrip(";").split()
            if words[:2] == ["DROP", "TABLE"]:
                del schema[words[2]]
            elif words[:2] == ["ALTER", "TABLE"]:
                del schema[words[2]][words[5]]
        assert judge(schema, [revision]).state is State.OUTDATED


class RecordingOp:
    """Stands in for alembic's ``op`` and notes what a migration does, as effects."""

    def __init__(self):
        self.effects = []

    def create_table(self, name, *columns, **kwargs):
        self.effects.append(Effect(name))

    def add_column(self, table, column):
        self.effects.append(Effect(table, column.name))

    def alter_column(self, table, column, *, nullable, **kwargs):
        self.effects.append(Effect(table, column, nullable))


def test_the_table_of_effects_is_what_qinlings_migrations_do(monkeypatch):
    package = importlib.import_module("qinling.db.sqlalchemy.migration.alembic_migrations.versions")
    found = {}
    for path in sorted(pathlib.Path(package.__file__).parent.glob("0*.py")):
        migration = importlib.import_module(f"{package.__name__}.{path.stem}")
        recorder = RecordingOp()
        monkeypatch.setattr(migration, "op", recorder)
        migration.upgrade()
        found[migration.revision] = tuple(recorder.effects)
    assert found == MIGRATIONS


def test_drop_order_has_every_table_and_respects_references():
    from qinling.db.sqlalchemy import models

    assert sorted(database.DROP_ORDER) == sorted(database.TABLES)
    tables = models.Function.metadata.tables
    for table in database.DROP_ORDER:
        for key in tables[table].foreign_keys:
            assert database.DROP_ORDER.index(table) < database.DROP_ORDER.index(key.column.table.name)


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'q.sqlite'}"


def run_sql(url, *statements):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_inspect_reads_real_tables(sqlite_url):
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
    assert database.inspect(sqlite_url) == judge(schema_at("002"), ["002"])
    run_sql(sqlite_url, "ALTER TABLE functions ADD COLUMN cpu INTEGER")
    assert database.inspect(sqlite_url).reason == "migration 003 stopped half way"


def test_a_service_never_creates_tables(sqlite_url, monkeypatch):
    from qinling.db import api as db_api
    from qinling.db import base
    from qinling.db.sqlalchemy import api

    engine = sa.create_engine(sqlite_url)
    monkeypatch.setattr(base, "get_engine", lambda: engine)
    monkeypatch.setattr(api, "setup_db", api.setup_db)
    database.forbid_table_creation()
    db_api.setup_db()
    assert database.inspect(sqlite_url).reason == "it is empty"


def test_an_unreachable_database_is_told_without_secrets(tmp_path):
    url = "mysql+pymysql://qinling:s3cret@127.0.0.1:1/qinling?charset=utf8"
    with pytest.raises(database.UnreachableError) as caught:
        database.inspect(url)
    assert "127.0.0.1:1/qinling: no connection" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_waiting_tells_the_log_and_slows_down(caplog):
    answers = [database.UnreachableError("database x: gone")] * 6 + [judge({}, [])]
    pauses = []

    def look(url):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert database.wait("sqlite://", look=look, sleep=pauses.append).state is State.OUTDATED
    assert pauses == [1, 2, 4, 8, 15, 15]
    assert caplog.messages[0] == "Waiting for the database x: gone; next attempt in 1 s"
    # oslo.log repeats an exception that is being handled.
    assert all(record.exc_info is None for record in caplog.records)


def test_waiting_ends_at_its_limit():
    def look(url):
        raise database.UnreachableError("database x: gone")

    pauses = []
    with pytest.raises(database.UnreachableError):
        database.wait("sqlite://", limit=10, look=look, sleep=pauses.append)
    assert sum(pauses) == 15


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://u:p@db.example:3306/qinling?charset=utf8", "db.example:3306/qinling"),
        ("mysql+pymysql://u:p@db.example/qinling", "db.example/qinling"),
        ("sqlite:////tmp/q.sqlite", "sqlite:/tmp/q.sqlite"),
    ],
)
def test_address_hides_credentials(url, shown):
    assert database.address(url) == shown

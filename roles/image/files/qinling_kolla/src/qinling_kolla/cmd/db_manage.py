# SPDX-License-Identifier: Apache-2.0
"""qinling-db-manage: Qinling's migration command, which looks at the database first and says what it did.

Exit codes: 0 done or current, 1 migration needed (``check``) or failed, 2 half-migrated, 3 database not reachable.
Commands that may change the database end with the line ``qinling-db-manage: changed=true`` or ``changed=false``.
"""

import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from qinling_kolla import database, mends

EXIT_OF_STATE = {database.State.CURRENT: 0, database.State.OUTDATED: 1, database.State.BROKEN: 2}
UNREACHABLE = 3
WAIT_SECONDS = 60.0


def say(text: str) -> None:
    """Print one line at once, so that it keeps its place among what alembic writes to stderr."""
    print(text, flush=True)


def explain(finding: database.Finding) -> None:
    """Print a finding for a human."""
    for line in finding.lines():
        say(f"qinling-db-manage: {line}")


def changed(before: database.Finding, after: database.Finding) -> str:
    """Return the last line, by which a caller knows whether the database was changed."""
    return f"qinling-db-manage: changed={'true' if before != after else 'false'}"


def is_current(finding: database.Finding, revision: str | None) -> bool:
    """Whether an upgrade to ``revision`` has nothing to do."""
    if finding.state is database.State.CURRENT:
        return revision in ("head", "heads", database.HEAD)
    return finding.state is database.State.OUTDATED and finding.revision is not None and finding.revision == revision


def check(url: str) -> int:
    """Print the database's state; return the exit code that stands for it."""
    finding = database.wait(url, WAIT_SECONDS)
    explain(finding)
    return EXIT_OF_STATE[finding.state]


def upgrade(url: str, revision: str | None, run: Any) -> int:
    """Migrate with ``run`` unless that is needless or would make things worse; return the exit code."""
    before = database.wait(url, WAIT_SECONDS)
    if before.state is not database.State.BROKEN and not is_current(before, revision):
        with database.migration_lock(url):
            # Another host may have migrated while this one waited for the lock.
            before = database.inspect(url)
            if before.state is not database.State.BROKEN and not is_current(before, revision):
                return _migrate(url, before, run)
    if before.state is database.State.BROKEN:
        explain(before)
        return EXIT_OF_STATE[before.state]
    say(f"qinling-db-manage: nothing to do: {before.reason}")
    say(changed(before, before))
    return 0


def _migrate(url: str, before: database.Finding, run: Any) -> int:
    try:
        run()
    except Exception as error:  # whatever it was, the state afterwards counts
        original = getattr(error, "orig", None) or error
        say(f"qinling-db-manage: the migration stopped: {type(original).__name__}: {original}")
        explain(database.inspect(url))
        return 1
    after = database.inspect(url)
    say(f"qinling-db-manage: the database is at revision {after.revision}")
    say(changed(before, after))
    return 0


def stamp(url: str, run: Any) -> int:
    """Record a revision with ``run``; return the exit code."""
    before = database.wait(url, WAIT_SECONDS)
    run()
    say(changed(before, database.inspect(url)))
    return 0


def _parsers(original: Any) -> Any:
    def add(subparsers: Any) -> None:
        original(subparsers)
        subparsers.add_parser("check", help="0: current, 1: migration needed, 2: half-migrated, 3: not reachable")

    return add


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    mends.apply_all()
    from alembic import config as alembic_config
    from qinling.db.sqlalchemy.migration import cli

    conf = cfg.CONF
    cli.command_opt.handler = _parsers(cli.add_command_parsers)
    try:
        conf(args=list(sys.argv[1:] if arguments is None else arguments), project="qinling")
    except cfg.Error as error:
        say(f"qinling-db-manage: {error}")
        return 1
    scripts = alembic_config.Config(str(cli.__file__).replace("cli.py", "alembic.ini"))
    scripts.set_main_option("script_location", "qinling.db.sqlalchemy.migration:alembic_migrations")
    scripts.qinling_config = conf

    url, command = conf.database.connection, conf.command
    offline = getattr(command, "sql", False)
    try:
        if command.name == "check":
            return check(url)
        if command.name == "upgrade" and not offline:
            return upgrade(url, command.revision, lambda: command.func(scripts, command.name))
        if command.name == "stamp" and not offline:
            return stamp(url, lambda: command.func(scripts, command.name))
        command.func(scripts, command.name)
    except database.UnreachableError as error:
        say(f"qinling-db-manage: {error}")
        return UNREACHABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())

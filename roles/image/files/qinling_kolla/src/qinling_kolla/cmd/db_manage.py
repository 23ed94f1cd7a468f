# SPDX-License-Identifier: Apache-2.0
"""qinling-db-manage: Qinling's migration command, which inspects the database first and reports changes.

Exit codes: 0 done or current, 1 migration needed (``check``) or failed, 2 half-migrated, 3 database not reachable.
The last line of a command that may change the database is ``qinling-db-manage: changed=true`` or ``changed=false``.
"""

import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from qinling_kolla import database, patches

EXIT_OF_STATE = {database.State.CURRENT: 0, database.State.OUTDATED: 1, database.State.BROKEN: 2}
UNREACHABLE = 3
WAIT_SECONDS = 60.0


def print_line(text: str) -> None:
    """Print a line without buffering, to keep its order relative to alembic's lines on stderr."""
    print(text, flush=True)


def print_finding(finding: database.Finding) -> None:
    """Print a finding with its details and remedy."""
    for line in finding.lines():
        print_line(f"qinling-db-manage: {line}")


def changed_line(before: database.Finding, after: database.Finding) -> str:
    """Return the last line of output, which reports to callers whether the database changed."""
    return f"qinling-db-manage: changed={'true' if before != after else 'false'}"


def is_current(finding: database.Finding, revision: str | None) -> bool:
    """Return whether an upgrade to ``revision`` would change nothing."""
    if finding.state is database.State.CURRENT:
        return revision in ("head", "heads", database.HEAD)
    return finding.state is database.State.OUTDATED and finding.revision is not None and finding.revision == revision


def check(url: str) -> int:
    """Print the database's state; return its exit code."""
    finding = database.wait(url, WAIT_SECONDS)
    print_finding(finding)
    return EXIT_OF_STATE[finding.state]


def upgrade(url: str, revision: str | None, run: Any) -> int:
    """Migrate with ``run`` unless the database is current or half-migrated; return the exit code."""
    before = database.wait(url, WAIT_SECONDS)
    if before.state is not database.State.BROKEN and not is_current(before, revision):
        with database.migration_lock(url):
            # Another host may have migrated while this one waited for the lock.
            before = database.inspect(url)
            if before.state is not database.State.BROKEN and not is_current(before, revision):
                return _migrate(url, before, run)
    if before.state is database.State.BROKEN:
        print_finding(before)
        return EXIT_OF_STATE[before.state]
    print_line(f"qinling-db-manage: nothing to do: {before.reason}")
    print_line(changed_line(before, before))
    return 0


def _migrate(url: str, before: database.Finding, run: Any) -> int:
    try:
        run()
    except Exception as error:  # of any kind; the state afterwards counts
        original = getattr(error, "orig", None) or error
        print_line(f"qinling-db-manage: the migration stopped: {type(original).__name__}: {original}")
        print_finding(database.inspect(url))
        return 1
    after = database.inspect(url)
    print_line(f"qinling-db-manage: the database is at revision {after.revision}")
    print_line(changed_line(before, after))
    return 0


def stamp(url: str, run: Any) -> int:
    """Record a revision with ``run``; return the exit code."""
    before = database.wait(url, WAIT_SECONDS)
    run()
    print_line(changed_line(before, database.inspect(url)))
    return 0


def _parsers(original: Any) -> Any:
    def add(subparsers: Any) -> None:
        original(subparsers)
        subparsers.add_parser("check", help="0: current, 1: migration needed, 2: half-migrated, 3: not reachable")

    return add


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    patches.apply_all()
    from alembic import config as alembic_config
    from qinling.db.sqlalchemy.migration import cli

    conf = cfg.CONF
    cli.command_opt.handler = _parsers(cli.add_command_parsers)
    try:
        conf(args=list(sys.argv[1:] if arguments is None else arguments), project="qinling")
    except cfg.Error as error:
        print_line(f"qinling-db-manage: {error}")
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
        print_line(f"qinling-db-manage: {error}")
        return UNREACHABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())

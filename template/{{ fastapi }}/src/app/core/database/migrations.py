"""Alembic's migrations. Each module of core and each slice has its own folder `migrations`.

Alembic stores only the heads, and a migration that depends on another slice's replaces the head of that slice. After
the folder of a slice is deleted, the heads no longer say what is applied. So core records every applied migration.
"""

import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError, to_tuple
from sqlalchemy import Column, Connection, MetaData, Table, Text, delete, exists, inspect, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app.core.database.revisions import describe_failure
from app.core.slices import find_parts

RECORD = Table("core_revisions", MetaData(), Column("revision", Text, primary_key=True), Column("slice", Text))
# Alembic's own table has only 32 characters, too few for the name of a slice and a message.
STAMPS = Table("alembic_version", RECORD.metadata, Column("version_num", Text, primary_key=True))


def alembic_config() -> Config:
    """Return the configuration of Alembic. Works in an installed package too."""
    config = Config()
    config.set_main_option("script_location", "app.core:migrations")
    config.set_main_option("file_template", "%%(rev)s")
    return config


def upgrade(config: Config) -> None:
    """Apply all migrations. A migration that needs another slice's names it in `depends_on`."""
    with _naming_statements():
        command.upgrade(config, "heads")


def downgrade(config: Config, target: str) -> None:
    """Revert migrations down to `target`."""
    with _naming_statements():
        command.downgrade(config, target)


def find_migrations(script: ScriptDirectory) -> dict[str, str]:
    """Make Alembic find the migrations of all slices. Return each revision with the label of its slice.

    Raise CommandError when a migration depends on one that no slice has.
    """
    folders = {(part.folder / "migrations").resolve(): part.label for part in find_parts()}
    script.version_locations = [str(folder) for folder in folders]
    try:
        # Read the label from the first migration: a module of core keeps its label when a release renames the module.
        return {
            found.revision: next(iter(found.branch_labels), folders[Path(found.path).parent])
            for found in script.walk_revisions()
        }
    except KeyError as error:
        needed = f'"{error.args[0]}"'
        files = (
            path for folder in folders for path in sorted(folder.glob("*.py")) if needed in path.read_text("utf-8")
        )
        name = next(files, Path()).name
        raise CommandError(f"{name} depends on the migration {needed}, which no slice has") from None


def restamp(connection: Connection, script: ScriptDirectory) -> list[str]:
    """Set Alembic's heads to the applied migrations of the existing slices.

    Return the deleted slices, or [] when nothing changed. Raise CommandError when this code is older than the database:
    an existing slice lacks an applied migration.
    """
    RECORD.metadata.create_all(connection)
    known = find_migrations(script)
    applied = applied_migrations(connection)
    if newer := newer_migrations(known, applied):
        raise CommandError(f"this code is older, and does not have {', '.join(newer)}")
    stamps = set(connection.scalars(select(STAMPS.c.version_num)))
    left = known.keys() & applied.keys()
    heads = left - needed_by(left, script)
    if stamps == heads or not stamps <= applied.keys():  # heads that core did not set: Alembic checks them
        return []
    connection.execute(delete(STAMPS))
    if heads:
        connection.execute(insert(STAMPS), [{"version_num": head} for head in sorted(heads)])
    return sorted({applied[revision] for revision in applied.keys() - known.keys()})


def record(connection: Connection, script: ScriptDirectory, heads: Collection[str]) -> None:
    """Record the migrations that are applied with these heads.

    Records of deleted slices stay: after a rollback to an earlier release, their tables are still known.
    """
    known = find_migrations(script)
    applied, ahead = set[str](), set(heads)
    # Not `iterate_revisions`, which refuses heads that depend on each other. A downgrade leaves such heads.
    while ahead:
        applied |= ahead
        ahead = needed_by(ahead, script) - applied
    connection.execute(delete(RECORD).where(RECORD.c.revision.in_(known.keys() - applied)))
    if applied:
        rows = [{"revision": revision, "slice": known[revision]} for revision in sorted(applied)]
        connection.execute(insert(RECORD).on_conflict_do_nothing(), rows)


def applied_migrations(connection: Connection) -> dict[str, str]:
    """Return each applied migration with the label of its slice, including deleted slices."""
    if not inspect(connection).has_table(RECORD.name):
        return {}
    rows = connection.execute(select(RECORD.c.revision, RECORD.c.slice).where(exists(select(STAMPS))))
    return dict(rows.all())


def newer_migrations(known: Mapping[str, str], applied: Mapping[str, str]) -> list[str]:
    """Return the applied migrations of existing slices that this code does not have: a newer release applied them."""
    labels = {*known.values(), *(part.label for part in find_parts())}
    return sorted(revision for revision, label in applied.items() if revision not in known and label in labels)


def needed_by(revisions: Collection[str], script: ScriptDirectory) -> set[str]:
    """Return the migrations that these migrations directly follow or depend on."""
    needs: set[str] = set()
    for found in script.get_revisions(tuple(revisions)):
        names = (*to_tuple(found.down_revision, default=()), *to_tuple(found.dependencies, default=()))
        needs |= {need.revision for need in script.get_revisions(names)}
    return needs


def missing_migrations(connection: Connection) -> list[str]:
    """Return the migrations of this release that the database does not have."""
    known = find_migrations(ScriptDirectory.from_config(alembic_config()))
    applied = applied_migrations(connection)
    if newer_migrations(known, applied):
        return []  # a newer release has migrated the database; its migrations must let this release keep running
    return sorted(known.keys() - applied.keys())


def last_migration(connection: Connection, label: str) -> tuple[str, str]:
    """Return the last applied migration of a slice, and the target of a downgrade that reverts it.

    Raise CommandError without an applied migration, or when a migration of another slice depends on it.
    """
    script = ScriptDirectory.from_config(alembic_config())
    known = find_migrations(script)
    if label not in known.values():
        raise CommandError(f"no slice '{label}' has migrations, only {', '.join(sorted(set(known.values())))}")
    applied = applied_migrations(connection)
    if newer := newer_migrations(known, applied):
        raise CommandError(f"this code is older, and does not have {', '.join(newer)}")
    own = {revision for revision, owner in applied.items() if owner == label}
    if not own:
        raise CommandError(f"the slice '{label}' has no applied migration")
    last = max(own - needed_by(own, script))
    others = sorted(other for other in known.keys() & applied.keys() - own if last in needed_by([other], script))
    if others:
        raise CommandError(f"{', '.join(others)} of another slice depends on {last}: revert that first")
    before = to_tuple(script.get_revision(last).down_revision, default=("base",))
    return last, f"{label}@{before[0]}"


@contextmanager
def _naming_statements() -> Iterator[None]:
    """Raise CommandError with the migration, the statement and the reason when PostgreSQL refuses a statement."""
    try:
        yield
    except DBAPIError as error:
        if not error.statement:
            raise
        frames = [frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__)]
        migrations = [found["revision"] for found in frames if {"revision", "down_revision"} <= found.keys()]
        sentence = describe_failure("".join(migrations[-1:]), error.statement, reason(error))
        raise CommandError(sentence) from error


def reason(error: Exception) -> str:
    """Return the error message of PostgreSQL with its hint, but without the details, which hold values of rows."""
    cause = (error.orig.__cause__ or error.orig) if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(filter(None, [str(cause).partition("\n")[0], getattr(cause, "hint", None)]))

"""Alembic's environment script. Migrates the database of DATABASE_URL; a lock admits one process at a time."""

import asyncio

from alembic import command, context
from alembic.util import CommandError
from sqlalchemy import Connection, text

from app.core.config import Settings
from app.core.database.autogenerate import table_owners
from app.core.database.base import Base, load_models
from app.core.database.comparison import PLUGIN, render_item
from app.core.database.embedded import ensure_database
from app.core.database.engine import script_engine
from app.core.database.migrations import record, restamp

LOCK = 7_262_100_428
"""Key of the advisory lock that migrations hold. Any number, but it must never change."""

options = context.config.cmd_opts  # set by Alembic's own command line
if getattr(options, "cmd", (None,))[0] in {command.revision, command.merge}:
    raise CommandError('each slice has migrations of its own: use `poe revision "what changed"`')
if (target := getattr(options, "revision", "")) == "head" or target.startswith(("+", "-")):
    raise CommandError("each slice has a head of its own: use `poe migrate` or `poe rollback SLICE`")

load_models()
owners = table_owners()


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether Alembic compares this object. Skips core's record, and tables of libraries and deleted slices."""
    return kind != "table" or name in owners


def run(connection: Connection) -> None:
    """Migrate in one transaction of `connection`."""
    script = context.script
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=is_ours,
        autogenerate_plugins=["alembic.autogenerate.*", PLUGIN],
        render_item=render_item,
        on_version_apply=lambda heads, **_: record(connection, script, heads),
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        if gone := restamp(connection, script):
            context.config.print_stdout("Deleted slices (their tables stay until you drop them): %s", ", ".join(gone))
        context.run_migrations()


async def connect_and_run() -> None:
    ensure_database()
    engine = script_engine(Settings.load())
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(connect_and_run())

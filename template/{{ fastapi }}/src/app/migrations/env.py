"""Alembic's entry: migrations run on the database that the settings name, one process at a time."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from app.config import Settings
from app.db import Base, script_engine
from app.embedded import ensure_database
from app.main import load_models

LOCK = 7_262_100_428
"""Any number, as long as it stays the same: the key of the advisory lock that migrations hold."""

load_models()


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether Alembic compares what has this name: tables that a library brings are its own business."""
    return kind != "table" or not (name or "").startswith(Base.metadata.info.get("foreign_tables", ()))


def run(connection: Connection) -> None:
    """Migrate over `connection`, in one transaction."""
    context.configure(connection=connection, target_metadata=Base.metadata, include_name=is_ours)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()


async def connect_and_run() -> None:
    """Migrate the database of the settings."""
    ensure_database()
    engine = script_engine(Settings.load())
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(connect_and_run())

"""Commands of the command line that depend on the framework. Each function imports only what it needs."""

import asyncio
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


def prepare() -> None:
    """Prepare for any command. FastAPI needs no preparation."""


def describe(error: Exception) -> str:
    """Return a message if the database is unreachable or lacks migrations, and "" for any other error."""
    from sqlalchemy.exc import DBAPIError

    from app.core.database.sessions import DatabaseUnavailableError
    from app.core.database.sqlstate import MISSING

    cause = error.__cause__ if isinstance(error, DatabaseUnavailableError) and error.__cause__ else error
    if isinstance(cause, DBAPIError):
        missing = getattr(cause.orig, "sqlstate", None) in MISSING
        return "The database of DATABASE_URL lacks migrations: run `poe migrate` first." if missing else ""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(cause.__traceback__)]
    if not any(name.startswith("asyncpg.") for name in modules):
        return ""
    return f"The database of DATABASE_URL cannot be used: {str(cause).partition('\n')[0]}."


def serve() -> None:
    """Serve until SIGTERM or SIGINT (see `http/server`)."""
    from app.core.config import Settings
    from app.core.http.server import run as server
    from app.core.http.server.ports import require_port
    from app.core.http.server.websockets import WebSocketProtocol
    from app.core.http.state import state_of

    settings = Settings.load()
    require_port(settings)
    app = import_module("app.main").create_app(settings)
    server.run(app, settings, state_of(app), ws=WebSocketProtocol, ws_max_size=settings.max_body_bytes)


def dev() -> None:
    """Migrate the tables and serve with reload. Tokens stay valid after a reload."""
    from app.core.cli.reload import run_with_reload
    from app.core.config import Settings
    from app.core.http.server.ports import require_port
    from app.core.http.server.websockets import WebSocketProtocol

    settings = Settings.load()
    address = require_port(settings)
    migrate()
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value()
    print(f"Documentation: {address}/docs", flush=True)
    options = {"ws": WebSocketProtocol, "ws_max_size": settings.max_body_bytes}
    run_with_reload("app.main:create_app", settings, **options)


def shell() -> None:
    """Open a Python shell with `await`, all models and a session."""
    os.environ["PYTHONSTARTUP"] = str(Path(__file__).with_name("shell.py"))
    sys.argv[1:] = []
    runpy.run_module("asyncio", run_name="__main__", alter_sys=True)


def migrate() -> None:
    """Apply all missing migrations of core and of the slices."""
    from app.core.database.migrations import alembic_config, upgrade

    with _failing_with("The migrations do not fit the database"):
        upgrade(alembic_config())


def describe_missing() -> str:
    """Return an error message with the missing migrations, or "" when the database has all of them."""
    from app.core.database.migrations import missing_migrations

    try:
        with _failing_with("The migrations do not fit together"):
            missing = asyncio.run(_ask(missing_migrations))
    except Exception as error:
        return f"the database does not answer ({type(error).__name__})"
    return f"the database does not have the migrations {', '.join(missing)}" if missing else ""


def connection_limit() -> int:
    """Return the number of connections that the database allows."""
    from sqlalchemy import text

    from app.core.cli.probe import CONNECTION_LIMIT

    limit: int = asyncio.run(_ask(lambda connection: connection.execute(text(CONNECTION_LIMIT)).scalar_one()))
    return limit


def make_revision(message: str) -> None:
    """Migrate the database. Then write a migration into each slice with models that differ."""
    from app.core.database.autogenerate import write_revisions
    from app.core.database.revisions import report

    migrate()
    with _failing_with("Nothing was written"):
        print(report(*write_revisions(message)))


def rollback(label: str) -> None:
    """Revert the last applied migration of a slice."""
    from app.core.database.migrations import alembic_config, downgrade, last_migration

    with _failing_with("Nothing was reverted"):
        last, before = asyncio.run(_ask(lambda connection: last_migration(connection, label)))
        downgrade(alembic_config(), before)
    print(f"Reverted {last}.")


async def _ask[T](question: "Callable[[Connection], T]") -> T:
    from app.core.config import Settings
    from app.core.database.engine import script_engine

    engine = script_engine(Settings.load())
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(question)
    finally:
        await engine.dispose()


@contextmanager
def _failing_with(sentence: str) -> Iterator[None]:
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:
        sys.exit(f"{sentence}: {error} (see docs/troubleshooting.md).")

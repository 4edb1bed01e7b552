"""Commands of the command line that depend on the framework. Each function imports only what it needs."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from pathlib import Path

MIGRATION_LOCK_KEY = 7_262_100_428
"""Key of the advisory lock that migrations hold. Any number, but it must never change."""


def prepare() -> None:
    """Import the settings. Otherwise Django would hide the error message of a wrong setting in its own messages."""
    from app.core.config import ConfigError

    name = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"DJANGO_SETTINGS_MODULE={name} is not a module: unset it to use app.settings.") from None


def describe(error: Exception) -> str:
    """Return a message if the database is unreachable or lacks migrations, and "" for any other error."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError, ProgrammingError, connection

    from app.core.database.sqlstate import MISSING

    if isinstance(error, ImproperlyConfigured) and "DATABASES" in str(error):
        return "The database of DATABASE_URL cannot be used: it has no name, as in postgresql://user@host/name."
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    if isinstance(error, ProgrammingError) and getattr(error.__cause__, "sqlstate", None) in MISSING:
        return "The database of DATABASE_URL lacks migrations: run `poe migrate` first."
    if not isinstance(error, OperationalError):
        return ""
    connection.close_pool()  # type: ignore[attr-defined]  # its threads would delay the exit
    return f"The database of DATABASE_URL cannot be used: {str(error).partition('\n')[0]}."


def serve() -> None:
    """Serve until SIGTERM or SIGINT (see `http/server`)."""
    from django.conf import settings as django_settings
    from django.core.management import call_command

    from app.core.http.application import create_server_application
    from app.core.http.server import run as server
    from app.core.http.server.ports import require_port

    settings = django_settings.CORE_SETTINGS
    require_port(settings)
    bridge = create_server_application()
    if settings.production and not (django_settings.STATIC_ROOT / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)
    server.run(bridge, settings, bridge.state, ws="none")


def dev() -> None:
    """Migrate the tables and serve with reload. Tokens stay valid after a reload."""
    from app.core.cli.reload import run_with_reload
    from app.core.config import Settings
    from app.core.http.server.ports import require_port

    settings = Settings.load()
    address = require_port(settings)
    migrate()
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value()
    print(f"Documentation: {address}/docs", flush=True)
    run_with_reload("app.core.http.application:create_server_application", settings, ws="none")


def shell() -> None:
    """Open Django's shell with all models."""
    from django.core.management import call_command

    set_up()
    call_command("shell")


def migrate() -> None:
    """Apply all missing migrations of core and of the slices."""
    from app.core.database.migrations import run_migrate

    set_up()
    with _failing_with("The migrations do not fit the database"), _one_at_a_time():
        run_migrate(verbosity=1)


def describe_missing() -> str:
    """Return an error message with the missing migrations, or "" when the database has all of them."""
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    set_up()
    try:
        with _failing_with("The migrations do not fit together"):
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"
    finally:
        connection.close()
    missing = ", ".join(str(migration) for migration, _ in plan)
    return f"the database does not have the migrations {missing}" if missing else ""


def connection_limit() -> int:
    """Return the number of connections that the database allows."""
    from django.db import connection

    from app.core.cli.probe import CONNECTION_LIMIT

    with connection.cursor() as cursor:
        [limit] = cursor.execute(CONNECTION_LIMIT).fetchone()
    connection.close()
    return int(limit)


def make_revision(message: str) -> None:
    """Write a migration into each slice with models that differ from its migrations."""
    from django.core.management import call_command

    from app.core.database.migrations import MakeMigrations, slice_labels
    from app.core.database.revisions import report, slug

    set_up()
    written = StringIO()
    with _failing_with("Nothing was written"):
        call_command(
            MakeMigrations(),
            *slice_labels(),  # named, because Django skips unnamed apps without migrations
            name=slug(message) or None,
            interactive=sys.stdin.isatty(),
            scriptable=True,
            stdout=written,
        )
    print(report([Path(line) for line in written.getvalue().splitlines()]))


def rollback(label: str) -> None:
    """Revert the last applied migration of a slice."""
    from app.core.database.migrations import last_migration, run_migrate

    set_up()
    with _failing_with("Nothing was reverted"), _one_at_a_time():
        last, before = last_migration(label)
        run_migrate(label, before, verbosity=0)
    print(f"Reverted {label}.{last}.")


def set_up() -> None:
    """Load the models and listeners of core and of all slices."""
    import django

    from app.core.slices import SliceError, find_parts

    # The pool logs a warning for each attempt to connect. The command prints one error message at the end.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    try:
        django.setup()
    except ImportError as error:
        for found in find_parts():
            found.module("models")  # raises a SliceError with the slice, the file and the line
        raise SliceError(f"The slices do not load: {error}") from error


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold the lock for migrations, and remove the time limits of the migrating connection.

    A transaction on a separate connection holds the lock. A session lock would not work with PgBouncer, where only the
    statements of one transaction share a connection.
    """
    import psycopg
    from django.conf import settings
    from django.db import connection

    with connection.cursor() as cursor, psycopg.connect(**connection.get_connection_params()) as locking:
        locking.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        locking.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK_KEY])
        connection.connection.patience = None
        if not settings.CORE_SETTINGS.database_pooler:  # PgBouncer would share it with other clients
            cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        yield


@contextmanager
def _failing_with(sentence: str) -> Iterator[None]:
    from django.core.management import CommandError
    from django.db import connection
    from django.db.migrations.exceptions import InconsistentMigrationHistory, IrreversibleError, NodeNotFoundError

    try:
        yield
    except (CommandError, EOFError, InconsistentMigrationHistory, IrreversibleError, NodeNotFoundError) as error:
        connection.close_pool()  # type: ignore[attr-defined]  # its threads would delay the exit
        sys.exit(f"{sentence}: {str(error).splitlines()[0].rstrip('.')} (see docs/troubleshooting.md).")

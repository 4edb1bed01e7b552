"""The command line: `python -m app serve`, and what else `poe` runs."""

import argparse
import getpass
import logging
import multiprocessing
import os
import re
import signal
import sys
from importlib import import_module

from app.runtime import PythonTooOldError, check_version

LOCK = 7_262_100_428
"""Any number, as long as it stays the same: the key of the advisory lock that migrations hold."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command. A mistake of the operator ends in one sentence and exit status 1, without a stack trace."""
    from app.config import ConfigError
    from app.embedded import EmbeddedServerError, ensure_database
    from app.probe import ProbeError
    from app.slices import SliceError

    parser = argparse.ArgumentParser(prog="app", description="Run and look after the service.")
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser("dev", help="serve with reload, on migrated tables").set_defaults(run=dev)
    commands.add_parser("serve", help="serve, as production does").set_defaults(run=serve)
    commands.add_parser("migrate", help="bring the tables up to date").set_defaults(run=migrate)
    waiting = commands.add_parser("wait", help="wait until another process has brought the tables up to date")
    waiting.add_argument("--seconds", type=float, default=300, help="how long at most (default: %(default)s)")
    waiting.set_defaults(run=wait)
    healthy = commands.add_parser("health", help="ask the service that runs here how it is")
    healthy.add_argument("probe", nargs="?", choices=["live", "ready"], default="live")
    healthy.set_defaults(run=health)
    revision = commands.add_parser("revision", help="write a migration for what changed in the models")
    revision.add_argument("message")
    revision.set_defaults(run=make_revision)
    user = commands.add_parser("user", help="create a user; the password is asked for, or read from standard input")
    user.add_argument("email")
    user.add_argument("--admin", action="store_true", help="an administrator; makes one of an existing user")
    user.set_defaults(run=make_user)
    options = parser.parse_args(arguments)
    # The default would end the process before what it started, such as the embedded server, is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    try:
        check_version()
        if options.run is not health:
            ensure_database()
            # Whoever asks Django for them first would hide the sentence of a mistake in many of its own.
            import_module(os.environ["DJANGO_SETTINGS_MODULE"])
        options.run(options)
    except (ConfigError, EmbeddedServerError, ProbeError, PythonTooOldError, SliceError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)


def serve(_options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT, as `server.py` says."""
    from django.conf import settings as django_settings
    from django.core.management import call_command

    from app import server
    from app.wsgi import create_application

    create_application()  # here too, so that a mistake ends in its sentence
    if django_settings.SERVICE.production and not (django_settings.STATIC_ROOT / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)
    server.run(django_settings.SERVICE)


def dev(_options: argparse.Namespace) -> None:
    """Serve with reload. The tables are migrated first, and a log-in survives a reload."""
    from app import server
    from app.config import Settings

    migrate(_options)
    settings = Settings.load()
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value()
    print(f"Documentation: http://{settings.host}:{settings.port}/docs", flush=True)
    multiprocessing.set_start_method("spawn")  # a fork would keep the modules as they were
    server.run(settings, reload=True)


def migrate(_options: argparse.Namespace) -> None:
    """Apply the migrations that the database does not have yet, of every slice, one process at a time."""
    from django.core.management import call_command
    from django.db import connection

    _set_up()
    with connection.cursor() as cursor:
        connection.connection.patience = None
        cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        call_command("migrate", verbosity=1)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def wait(options: argparse.Namespace) -> None:
    """Return when the database has every migration that this release has."""
    from app.probe import wait_until

    _set_up()
    # Of each try of the pool it would warn, on a thread of its own; one sentence at the end says it all.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    wait_until(_what_is_missing, options.seconds)


def _what_is_missing() -> str:
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"
    finally:
        connection.close()
    missing = ", ".join(str(migration) for migration, _ in plan)
    return f"the database does not have the migrations {missing}" if missing else ""


def health(options: argparse.Namespace) -> None:
    """Ask the service that these settings start, for whoever can run a command beside it but has no HTTP client."""
    from app.config import Settings
    from app.probe import ask

    ask(Settings.load(), f"/health/{options.probe}")


def make_revision(options: argparse.Namespace) -> None:
    """Write a migration for the difference between the models and the migrations."""
    from django.apps import apps
    from django.core.management import call_command

    _set_up()
    # By name, so that a slice without migrations gets its first.
    found = [config for config in apps.get_app_configs() if config.name.startswith("app.")]
    slices = [config.label for config in found if config.models_module]
    name = re.sub(r"\W+", "_", options.message.lower()).strip("_")
    call_command("makemigrations", *slices, name=name)


def make_user(options: argparse.Namespace) -> None:
    """Create a user, or make an administrator of one that exists."""
    _set_up()
    from app.users import make_user as make

    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    print(make(options.email, password, admin=options.admin))


def _set_up() -> None:
    import django

    django.setup()


if __name__ == "__main__":
    main()

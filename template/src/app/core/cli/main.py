"""The command line: `python -m app serve` and the other commands."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.runtime import PythonTooOldError, check_version


def main(arguments: list[str] | None = None) -> None:
    """Run one command. An error of the operator prints one sentence and exits with status 1, without a stack trace."""
    from app.core.cli import operations
    from app.core.cli.probe import ProbeError
    from app.core.config import ConfigError
    from app.core.database.embedded import EmbeddedServerError, ensure_database
    from app.core.problems import ProblemError
    from app.core.slices import SliceError

    # The default handler would end the process before `atexit` stops the embedded server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        check_version()
        with _quiet_after_the_reader():
            options = _parser().parse_args(arguments)
            if options.needs_database:
                _log_to_stderr()
                ensure_database()
                operations.prepare()
            options.run(options)
    except (ConfigError, EmbeddedServerError, ProbeError, ProblemError, PythonTooOldError, SliceError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if sentence := operations.describe(error):
            sys.exit(sentence)
        raise


def _log_to_stderr() -> None:
    """Keep standard output for the result of a command. `dev`, `serve` and `worker` then configure their own logs."""
    import structlog

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


@contextmanager
def _quiet_after_the_reader() -> Iterator[None]:
    """Exit without a stack trace when the reader of the output has closed the pipe, as in `… | head -1`."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)  # the status that a shell reports for SIGPIPE


def _parser() -> argparse.ArgumentParser:
    from app.core.cli import operations
    from app.core.slices import find_packages

    parser = argparse.ArgumentParser(prog="app", description="Run and maintain the service.")
    parser.set_defaults(needs_database=True)
    added = parser.add_subparsers(required=True, metavar="command")
    added.add_parser("dev", help="serve with reload, on migrated tables").set_defaults(run=lambda _: operations.dev())
    added.add_parser("serve", help="serve as in production").set_defaults(run=lambda _: operations.serve())
    added.add_parser("migrate", help="apply all missing migrations").set_defaults(run=lambda _: operations.migrate())
    waiting = added.add_parser("wait", help="wait until another process has migrated the tables")
    waiting.add_argument("--seconds", type=float, default=300, help="time limit (default: %(default)s)")
    waiting.add_argument(
        "--processes",
        type=int,
        action="append",
        default=[],
        help="fail if the database allows fewer connections than this many processes open; repeated numbers are added",
    )
    waiting.set_defaults(run=wait)
    healthy = added.add_parser("health", help="check the health of the running service")
    healthy.add_argument("probe", nargs="?", choices=["live", "ready"], default="live", help="default: %(default)s")
    healthy.set_defaults(run=health, needs_database=False)
    revision = added.add_parser("revision", help="write migrations for changed models")
    revision.add_argument("message", help="names the migration, such as 'add notes'")
    revision.set_defaults(run=lambda options: operations.make_revision(options.message))
    rollback = added.add_parser("rollback", help="revert the last applied migration of a slice")
    rollback.add_argument("slice", help="name of its folder, or core_accounts for a module of core")
    rollback.set_defaults(run=lambda options: operations.rollback(options.slice))
    shell = added.add_parser("shell", help="open a Python shell with all models")
    shell.set_defaults(run=lambda _: operations.shell())
    # Without a prefix for options, argparse passes options such as `-c` to psql.
    about = "open psql on the database; takes psql's options"
    db = added.add_parser("db", help=about, prefix_chars="\0", add_help=False)
    db.add_argument("options", nargs="*")
    db.set_defaults(run=open_psql)
    env = added.add_parser("env", help="add missing variables to .env.example")
    env.set_defaults(run=add_env, needs_database=False)
    for package in find_packages():
        if found := package.module("commands"):
            found.add(added)
    return parser


def wait(options: argparse.Namespace) -> None:
    """Wait until the database has all migrations of this release. Then check its limit of connections."""
    from app.core.cli import operations
    from app.core.cli.probe import require_connections, wait_until
    from app.core.config import Settings

    wait_until(operations.describe_missing, options.seconds)
    settings = Settings.load()
    if options.processes and not settings.database_pooler:  # PgBouncer shares the connections
        require_connections(operations.connection_limit(), settings, sum(options.processes))


def health(options: argparse.Namespace) -> None:
    """Send a health check to the service that runs with these settings on this machine."""
    from app.core.cli.probe import ask
    from app.core.config import Settings

    ask(Settings.load(), f"/health/{options.probe}")


def open_psql(options: argparse.Namespace) -> None:
    """Open psql on the database of DATABASE_URL. The embedded server includes psql."""
    from app.core.cli.psql import run

    sys.exit(run(options.options))


def add_env(_options: argparse.Namespace) -> None:
    """Add the missing variables to `.env.example`."""
    from app.core.cli.env_example import EXAMPLE, add_missing

    added = add_missing()
    print(f"{EXAMPLE} names every variable." if not added else f"Added to {EXAMPLE}: {', '.join(added)}.")

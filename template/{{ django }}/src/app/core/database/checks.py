"""Checks of the database connection."""

import psycopg
from asgiref.sync import sync_to_async
from django.db import connection
from psycopg_pool import ConnectionPool

from app.core.retries import retry

CHECK_SECONDS = 1.0
"""Time limit to get a connection for a check. Shorter than for a request, because a probe does not wait that long."""


@retry(times=4, on=(OSError, psycopg.OperationalError), delay=0.5)
async def ping() -> None:
    """Connect to the server, with retries: after a deployment, the server may still be starting."""
    await sync_to_async(check, thread_sensitive=False)()


def check() -> None:
    """Run a query on the server, without retries.

    Uses the pool directly: outside of a request, Django would not return the connection of a thread to the pool.
    """
    pool: ConnectionPool = connection.pool  # type: ignore[attr-defined]
    pool.open()
    with pool.connection(timeout=CHECK_SECONDS) as reached:
        reached.execute("SELECT 1")

"""Whether the database answers."""

import psycopg
from asgiref.sync import sync_to_async
from django.db import connection
from psycopg_pool import ConnectionPool

from app.core.retries import retry

CHECK_SECONDS = 1.0
"""How long a check may wait for a connection: neither a start nor a probe can wait as long as a request."""


@retry(times=4, on=(OSError, psycopg.OperationalError), delay=0.5)
async def ping() -> None:
    """Reach the server; it may be starting just now, as after a deployment, so more than one try is made."""
    await sync_to_async(check, thread_sensitive=False)()


def check() -> None:
    """Reach the server once, by the pool itself: a thread without a request would keep a connection of Django's."""
    pool: ConnectionPool = connection.pool  # type: ignore[attr-defined]
    pool.open()
    with pool.connection(timeout=CHECK_SECONDS) as reached:
        reached.execute("SELECT 1")

"""The database: what models and the unit of work of a request have in common."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import TextField
from django.db.models.functions import Length, Lower
from django.dispatch import receiver
from psycopg_pool import ConnectionPool

from app.retry import retry

CHECK_SECONDS = 1.0
"""How long a check may wait for a connection: neither a start nor a probe can wait as long as a request."""

# For constraints and conditions: `name__length__range=(1, 200)`, `email__lower=…`.
TextField.register_lookup(Length)
TextField.register_lookup(Lower)


def unit_of_work[**P, R](view: Callable[P, R]) -> Callable[P, R]:
    """Make `view` one transaction: committed before the response is sent, rolled back when it raises."""

    @wraps(view)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            return view(*args, **kwargs)

    return inside


def give_back() -> None:
    """Leave the connection to others, before a wait that needs none. What a transaction needs stays."""
    if not connection.in_atomic_block:
        connection.close()


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


@receiver(connection_created)
def _echo(connection: BaseDatabaseWrapper, **_: Any) -> None:
    connection.force_debug_cursor = settings.SERVICE.debug

"""The database: what models and the unit of work of a request have in common."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import TextField
from django.db.models.functions import Length, Lower
from django.dispatch import receiver
from psycopg_pool import ConnectionPool

from app.retry import retry

SECONDS = 1.0
"""How long one try may take at the start, where liveness cannot be answered yet."""

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


def check() -> None:
    """Reach the server once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_and_let_go() -> None:
    """Reach the server once, in a thread that has no request and gives its connection back by itself."""
    try:
        check()
    finally:
        connections.close_all()


@retry(times=4, on=(OSError, psycopg.OperationalError), delay=0.5)
async def ping() -> None:
    """Reach the server; it may be starting just now, as after a deployment, so more than one try is made."""
    await sync_to_async(reach, thread_sensitive=False)()


def reach() -> None:
    """Reach the server within `SECONDS`; what a request waits for a connection is longer than a start may take."""
    pool: ConnectionPool = connection.pool  # type: ignore[attr-defined]
    pool.open()
    with pool.connection(timeout=SECONDS) as reached:
        reached.execute("SELECT 1")


@receiver(connection_created)
def _echo(connection: BaseDatabaseWrapper, **_: Any) -> None:
    connection.force_debug_cursor = settings.SERVICE.debug

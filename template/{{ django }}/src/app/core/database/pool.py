"""The pool of connections, as Django takes it."""

from typing import Any, ClassVar

from psycopg import Connection, OperationalError, ProgrammingError
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from app.core.config import ConfigError, Settings

WAITING = 4
"""Requests that may wait for each connection of the pool; more are answered 503 at once."""

RECONNECT_SECONDS = 2.0
"""After this the pool begins to connect anew: its waits double, so that a long outage would last twice as long."""


class ImpatientConnection(Connection[Any]):
    """A connection that the service gives up when the server does not answer at all.

    The server ends a statement that takes too long; but nobody says so when the network to it is gone.
    """

    patience: ClassVar[float | None] = None
    """Seconds; None waits without a limit."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            elif self.closed and isinstance(self._pool, ConnectionPool):
                # The server ended it, as a restart ends all; and the pool would wait longer after each that it tries.
                self._pool.drain()
            raise


def database(settings: Settings) -> dict[str, Any]:
    """DATABASE_URL as Django wants it: a pool of connections, each tried before it is used, and with time limits."""
    try:
        options: dict[str, Any] = conninfo_to_dict(settings.database_url or "")
    except ProgrammingError as error:
        raise ConfigError(f"DATABASE_URL is not usable: {str(error).strip()}") from None

    class LimitedConnection(ImpatientConnection):
        patience = settings.database_timeout_seconds + 1

    # A pooler refuses them: its connections serve other clients too.
    limits = (
        ""
        if settings.database_pooler
        else f"-c statement_timeout={settings.database_timeout_seconds * 1000:.0f}"
        f" -c idle_in_transaction_session_timeout={settings.idle_in_transaction_seconds * 1000:.0f}"
    )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", "") or options.get("user", ""),  # as of libpq
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "CONN_MAX_AGE": 0,  # of a request, which gives its connection back to the pool
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options
        | {
            **({"options": given} if (given := f"{options.get('options', '')} {limits}".strip()) else {}),
            "connect_timeout": max(2, int(settings.database_timeout_seconds)),
            "pool": {
                "connection_class": LimitedConnection,
                "min_size": 1,
                "max_size": settings.database_pool_size,
                "max_waiting": settings.database_pool_size * WAITING,
                "timeout": settings.database_timeout_seconds,
                "reconnect_timeout": RECONNECT_SECONDS,
                "reconnect_failed": ConnectionPool.check,  # it begins again, where the pool would give up
            },
        },
    }

"""The connection pool in Django's settings."""

from functools import partialmethod
from typing import Any

from psycopg import Connection, Cursor, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from app.core.config import ConfigError, Settings

RECONNECT_SECONDS = 2.0
"""Time after which the pool restarts its back-off. Otherwise the doubled waits would prolong a long outage."""


class ImpatientConnection(Connection[Any]):
    """A connection with a time limit on the client's side, for a server that does not answer.

    The server cancels slow statements. But the client does not learn of it when the network is down.
    A subclass sets the limit: `wait = partialmethod(Connection.wait, timeout=10)`.
    """

    def rollback(self) -> None:
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            self.pgconn.finish()  # the server did not answer, and will not answer to ROLLBACK
        super().rollback()

    def execute(self, *arguments: Any, **options: Any) -> Cursor[Any]:
        """Run a statement of the pool's health check. Django itself uses cursors."""
        try:
            return super().execute(*arguments, **options)
        except OperationalError:
            # A restart of the server closes all connections: replace all of them, because the pool waits longer
            # after each failed check.
            if self.closed and isinstance(self._pool, ConnectionPool):
                self._pool.drain()
            raise


def database(settings: Settings) -> dict[str, Any]:
    """Return DATABASE_URL as Django's settings: a connection pool with health checks and time limits."""
    try:
        options: dict[str, Any] = conninfo_to_dict(settings.database_url or "")
    except ProgrammingError as error:
        raise ConfigError(f"DATABASE_URL is invalid: {str(error).strip()}") from None

    class LimitedConnection(ImpatientConnection):
        wait = partialmethod(Connection.wait, timeout=settings.database_timeout_seconds + 1)

    # PgBouncer refuses these settings, because its connections are shared with other clients.
    limits = (
        ""
        if settings.database_pooler
        else f"-c statement_timeout={settings.database_timeout_seconds * 1000:.0f}"
        f" -c idle_in_transaction_session_timeout={settings.idle_in_transaction_seconds * 1000:.0f}"
    )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", "") or options.get("user", ""),  # as in libpq
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "CONN_MAX_AGE": 0,  # at the end of a request, the connection returns to the pool
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options
        | {
            **({"options": given} if (given := f"{options.get('options', '')} {limits}".strip()) else {}),
            "connect_timeout": max(2, int(settings.database_timeout_seconds)),
            "pool": {
                "connection_class": LimitedConnection,
                "min_size": 1,
                "max_size": settings.database_pool_size,
                "timeout": settings.database_timeout_seconds,
                "reconnect_timeout": RECONNECT_SECONDS,
                "reconnect_failed": ConnectionPool.check,  # tries again; the pool would stop trying
            },
        },
    }

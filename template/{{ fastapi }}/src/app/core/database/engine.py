"""The database engine and its sessions."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import asyncpg
from sqlalchemy import event, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from app.core.config import ConfigError, Settings
from app.core.database.sessions import DatabaseUnavailableError, Pool, ReadOnlySession, ReadSession, WriteSession
from app.core.retries import retry

type ReadSessions = Callable[[], AbstractAsyncContextManager[ReadSession]]

UNSUPPORTED_BY_ASYNCPG = {
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "require_auth",
    "tcp_user_timeout",
}
"""Parameters of libpq that asyncpg would send as server settings. The server would refuse each connection."""

PING_TIMEOUT_SECONDS = 1.0
"""Time limit of one attempt at the start, when the service cannot answer liveness checks yet."""


class Database:
    """Creates sessions on an engine, or in tests on one connection that is rolled back afterwards."""

    def __init__(self, bind: AsyncEngine | AsyncConnection, probe: AsyncEngine | None = None) -> None:
        """`probe` creates a connection for each check, outside of the pool."""
        self._bind = bind
        self._probe = probe
        writing = bind.execution_options(isolation_level="READ COMMITTED") if isinstance(bind, AsyncEngine) else bind
        self.sessions = _sessions(writing, WriteSession)
        self.read_sessions: ReadSessions = _sessions(bind, ReadOnlySession)
        # A server-side cursor needs a transaction.
        streaming = writing.execution_options(postgresql_readonly=True) if isinstance(writing, AsyncEngine) else bind
        self.streaming_sessions: ReadSessions = _sessions(streaming, ReadOnlySession)

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Return the database of the settings. Does not connect yet."""
        seconds = settings.database_timeout_seconds
        limits = {
            "statement_timeout": f"{seconds * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{settings.idle_in_transaction_seconds * 1000:.0f}",
        }
        engine = create_engine(
            settings,
            # The server cancels slow statements. The client's time limit is for a server that does not answer,
            # for example because the network is down.
            connect_args={
                "timeout": seconds,
                "command_timeout": seconds + 1,
                # PgBouncer refuses these settings, because its connections are shared with other clients.
                "server_settings": {} if settings.database_pooler else limits,
            },
            hide_parameters=not settings.debug,  # errors are logged, and parameters may be personal data
            # Without transactions, a read and the ping of the pool take two round trips instead of six (no BEGIN and
            # ROLLBACK). Write sessions set their own isolation level.
            isolation_level="AUTOCOMMIT",
            poolclass=Pool,
            pool_pre_ping=True,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=seconds,
        )
        event.listen(engine.sync_engine, "handle_error", _give_up, retval=True)
        if settings.otel_exporter_otlp_endpoint:
            from app.core.observability.traces import trace_statements  # noqa: PLC0415 -- only when it is on

            trace_statements(engine.sync_engine)
        probe = create_engine(
            settings,
            connect_args={"timeout": PING_TIMEOUT_SECONDS, "command_timeout": PING_TIMEOUT_SECONDS},
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
        )
        return cls(engine, probe)

    @retry(times=4, on=(OSError, OperationalError, InterfaceError), delay=0.5)
    async def ping(self) -> None:
        """Connect to the server, with retries: after a deployment, the server may still be starting."""
        async with asyncio.timeout(PING_TIMEOUT_SECONDS):
            await self.check()

    async def check(self) -> None:
        """Run a query on the server, without retries.

        Uses a connection of its own: while requests use all connections of the pool, the service still works.
        """
        if self._probe:
            async with self._probe.connect() as connection:
                await connection.execute(select(1))
        else:  # only in tests
            async with self.read_sessions() as session:
                await session.execute(select(1))

    async def close(self) -> None:
        """Close all connections."""
        if isinstance(self._bind, AsyncEngine):
            await self._bind.dispose()


def create_engine(settings: Settings, *, connect_args: Mapping[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """Return an engine for DATABASE_URL. asyncpg parses the URL itself, because it supports more of libpq's syntax.

    Raise ConfigError for a parameter that asyncpg does not support.
    """
    url = settings.database_url
    if unknown := UNSUPPORTED_BY_ASYNCPG & {name for name, _ in parse_qsl(urlsplit(url or "").query)}:
        names = " and ".join(sorted(unknown))
        raise ConfigError(f"DATABASE_URL has parameters that asyncpg does not support: remove {names}.")

    # PgBouncer may run the next statement on another connection, which does not know a named prepared statement.
    unnamed: dict[str, Any] = {"statement_cache_size": 0} if settings.database_pooler else {}
    cache = (
        {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str} if settings.database_pooler else {}
    )

    async def connect() -> Any:
        return await asyncpg.connect(url, **(connect_args or {}), **unnamed)

    def creator() -> Any:
        return engine.dialect.dbapi.connect(async_creator_fn=connect, **cache)  # type: ignore[union-attr]

    engine = create_async_engine("postgresql+asyncpg://", creator=creator, echo=settings.debug, **options)
    return engine


def script_engine(settings: Settings) -> AsyncEngine:
    """Return an engine for scripts: without a pool, and without a time limit for statements."""
    return create_engine(settings, poolclass=NullPool)


def _give_up(context: ExceptionContext) -> BaseException | None:
    """Drop a connection that does not answer, without a rollback, which would wait for a second timeout."""
    if not isinstance(context.original_exception, OSError):
        return None
    context.is_disconnect = True
    return DatabaseUnavailableError(str(context.original_exception))


def _sessions[S: AsyncSession](bind: Any, kind: type[S]) -> async_sessionmaker[S]:
    # `expire_on_commit=False`: responses are made from the objects after the commit. `create_savepoint`: in tests, the
    # code under test can commit and roll back inside the transaction that the test rolls back.
    return async_sessionmaker(bind, class_=kind, expire_on_commit=False, join_transaction_mode="create_savepoint")

"""The engine and the sessions that are made of it."""

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
"""Parameters of libpq that asyncpg would take for settings of the server, which refuses them at each connection."""

PING_TIMEOUT_SECONDS = 1.0
"""How long one try may take at the start, where liveness cannot be answered yet."""


class Database:
    """Where sessions come from: an engine, or in tests one connection that is rolled back afterwards."""

    def __init__(self, bind: AsyncEngine | AsyncConnection) -> None:
        self._bind = bind
        writing = bind.execution_options(isolation_level="READ COMMITTED") if isinstance(bind, AsyncEngine) else bind
        self.sessions = _sessions(writing, WriteSession)
        self.read_sessions: ReadSessions = _sessions(bind, ReadOnlySession)
        # A server-side cursor lives in a transaction.
        streaming = writing.execution_options(postgresql_readonly=True) if isinstance(writing, AsyncEngine) else bind
        self.streaming_sessions: ReadSessions = _sessions(streaming, ReadOnlySession)

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """The database that the settings name. No connection is made yet."""
        seconds = settings.database_timeout_seconds
        limits = {
            "statement_timeout": f"{seconds * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{settings.idle_in_transaction_seconds * 1000:.0f}",
        }
        engine = create_engine(
            settings,
            # The server ends a statement that takes too long. Only when it does not answer at all, as when the
            # network to it is gone, the service gives up by itself.
            connect_args={
                "timeout": seconds,
                "command_timeout": seconds + 1,
                # A pooler refuses them: its connections serve other clients too.
                "server_settings": {} if settings.database_pooler else limits,
            },
            hide_parameters=not settings.debug,  # they are personal data, and errors are logged
            # Neither a read nor the ping of the pool needs a BEGIN and a ROLLBACK around it: two round trips
            # instead of six. Sessions that write ask for their transaction.
            isolation_level="AUTOCOMMIT",
            poolclass=Pool,
            pool_pre_ping=True,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=seconds,
        )
        event.listen(engine.sync_engine, "handle_error", _give_up, retval=True)
        if settings.otel_exporter_otlp_endpoint:
            from app.core.observability.traces import trace_statements  # noqa: PLC0415 -- only where it is on

            trace_statements(engine.sync_engine)
        return cls(engine)

    @retry(times=4, on=(OSError, OperationalError, InterfaceError), delay=0.5)
    async def ping(self) -> None:
        """Reach the server; it may be starting just now, as after a deployment, so more than one try is made."""
        async with asyncio.timeout(PING_TIMEOUT_SECONDS):
            await self.check()

    async def check(self) -> None:
        """Reach the server once."""
        async with self.read_sessions() as session:
            await session.execute(select(1))

    async def close(self) -> None:
        """Give all connections back."""
        if isinstance(self._bind, AsyncEngine):
            await self._bind.dispose()


def create_engine(settings: Settings, *, connect_args: Mapping[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """An engine that connects to DATABASE_URL, which asyncpg reads by itself: it knows what libpq knows there.

    ConfigError for a parameter that asyncpg does not know.
    """
    url = settings.database_url
    if unknown := UNSUPPORTED_BY_ASYNCPG & {name for name, _ in parse_qsl(urlsplit(url or "").query)}:
        raise ConfigError(f"DATABASE_URL must do without {' and '.join(sorted(unknown))}, which asyncpg does not know.")

    # A pooler may run the next statement on another connection, where a prepared statement with a name is not known.
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
    """An engine for a script that connects once and ends: no pool, no time limit on a statement."""
    return create_engine(settings, poolclass=NullPool)


def _give_up(context: ExceptionContext) -> BaseException | None:
    """Drop a connection that does not answer. To roll back on it would only be the next wait."""
    if not isinstance(context.original_exception, OSError):
        return None
    context.is_disconnect = True
    return DatabaseUnavailableError(str(context.original_exception))


def _sessions[S: AsyncSession](bind: Any, kind: type[S]) -> async_sessionmaker[S]:
    # After the commit a response is still made of the objects, so they must not expire with it. In tests the
    # savepoint lets the code under test commit and roll back inside the transaction that the test rolls back.
    return async_sessionmaker(bind, class_=kind, expire_on_commit=False, join_transaction_mode="create_savepoint")

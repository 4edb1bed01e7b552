"""The database: engine, sessions, and the unit of work of a request."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

import asyncpg  # type: ignore[import-untyped]
from fastapi import Depends, Request
from sqlalchemy import MetaData, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import NullPool

from app.config import ConfigError, Settings
from app.retry import retry

NOT_OF_ASYNCPG = {
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

PING_SECONDS = 1.0
"""How long one try may take at the start, where liveness cannot be answered yet."""


class Base(DeclarativeBase):
    """The base of every model. Constraints have predictable names, so that a migration can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Database:
    """Where sessions come from: an engine, or in tests one connection that is rolled back afterwards."""

    def __init__(self, bind: AsyncEngine | AsyncConnection) -> None:
        self._bind = bind
        writing = bind.execution_options(isolation_level="READ COMMITTED") if isinstance(bind, AsyncEngine) else bind
        self.sessions = _sessions(writing)
        self.reading_sessions = _sessions(bind)

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """The database that the settings name. No connection is made yet."""
        seconds = settings.database_timeout_seconds
        milliseconds = str(int(seconds * 1000))
        engine = create_engine(
            settings,
            # The server ends a statement that takes too long. Only when it does not answer at all, as when the
            # network to it is gone, the service gives up by itself.
            connect_args={
                "timeout": seconds,
                "command_timeout": seconds + 1,
                "server_settings": {
                    "statement_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": milliseconds,
                },
            },
            hide_parameters=not settings.debug,  # they are personal data, and errors are logged
            # Neither a read nor the ping of the pool needs a BEGIN and a ROLLBACK around it: two round trips
            # instead of six. Sessions that write ask for their transaction.
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=seconds,
        )
        event.listen(engine.sync_engine, "handle_error", _give_up)
        if settings.otel_exporter_otlp_endpoint:
            from app.traces import trace_statements  # noqa: PLC0415 -- only where it is on

            trace_statements(engine.sync_engine)
        return cls(engine)

    @retry(times=4, on=(OSError, OperationalError, InterfaceError), delay=0.5)
    async def ping(self) -> None:
        """Reach the server; it may be starting just now, as after a deployment, so more than one try is made."""
        async with asyncio.timeout(PING_SECONDS):
            await self.check()

    async def check(self) -> None:
        """Reach the server once."""
        async with self.reading_sessions() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Give all connections back."""
        if isinstance(self._bind, AsyncEngine):
            await self._bind.dispose()


def create_engine(settings: Settings, *, connect_args: Mapping[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """An engine that connects to DATABASE_URL, which asyncpg reads by itself: it knows what libpq knows there.

    ConfigError for what it does not know. ConnectionError, or TimeoutError, from whoever asks for a connection and
    there is none to be had.
    """
    url = settings.database_url
    if unknown := NOT_OF_ASYNCPG & {name for name, _ in parse_qsl(urlsplit(url or "").query)}:
        raise ConfigError(f"DATABASE_URL must do without {' and '.join(sorted(unknown))}, which asyncpg does not know.")

    async def connect() -> Any:
        try:
            return await asyncpg.connect(url, **(connect_args or {}))
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:  # no such socket, no such host
            raise ConnectionError(str(error)) from error

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, echo=settings.debug, **options)


def script_engine(settings: Settings) -> AsyncEngine:
    """An engine for a script that connects once and ends: no pool, no time limit on a statement."""
    return create_engine(settings, poolclass=NullPool)


def _give_up(context: ExceptionContext) -> None:
    """Drop a connection that does not answer. To roll back on it would only be the next wait."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


def _sessions(bind: Any) -> async_sessionmaker[AsyncSession]:
    # After the commit a response is still made of the objects, so they must not expire with it. In tests the
    # savepoint lets the code under test commit and roll back inside the transaction that the test rolls back.
    return async_sessionmaker(
        bind, class_=AsyncSession, expire_on_commit=False, join_transaction_mode="create_savepoint"
    )


def get_database(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


async def get_db(request: Request) -> AsyncIterator[AsyncSession]:
    """The unit of work of one request: committed when the handler returns, rolled back when it raises."""
    async with get_database(request).sessions.begin() as session:
        yield session


async def get_reading_db(request: Request) -> AsyncIterator[AsyncSession]:
    """A session for a request that only reads: every statement sees what is committed, nothing is held open."""
    async with get_database(request).reading_sessions() as session:
        yield session


# `function` closes the unit of work before the response is sent: a commit that fails is a 500, never a 201.
Db = Annotated[AsyncSession, Depends(get_db, scope="function")]
ReadingDb = Annotated[AsyncSession, Depends(get_reading_db, scope="function")]

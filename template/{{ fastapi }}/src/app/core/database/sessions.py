"""Sessions for writing and for reading, as different types, and the connection pool."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import asyncpg
from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy import CompoundSelect, Result, ScalarResult, Select, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncResult, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.util import await_only

from app.core.database.sqlstate import is_temporary

if TYPE_CHECKING:
    from app.core.database.engine import Database

FAILED = "app.failed"
"""Key in the scope of a request: True if a route with its own APIRoute subclass raised. Forces a rollback."""

type Query[*Ts] = Select[*Ts] | CompoundSelect[*Ts]
type Parameters = Mapping[str, Any]


class ReadOnlyError(Exception):
    """A read session received a statement that writes."""

    def __init__(self) -> None:
        super().__init__(
            "A read session cannot write: declare `session: Transaction` on the route instead of `ReadOnly`."
        )


class WriteSession(AsyncSession):
    """SQLAlchemy's session in a transaction. Also accepted as a `ReadSession`."""


class ReadSession(Protocol):
    """A session for SELECT statements. Other statements are type errors, and raise ReadOnlyError."""

    async def get[T](self, entity: type[T], ident: Any, /) -> T | None: ...
    async def execute[*Ts](self, statement: Query[*Ts], params: Parameters | None = None, /) -> Result[*Ts]: ...
    async def scalar[T](self, statement: Query[T], params: Parameters | None = None, /) -> T | None: ...
    async def scalars[T](self, statement: Query[T], params: Parameters | None = None, /) -> ScalarResult[T]: ...

    # A server-side cursor needs a transaction: only a session of `Database.streaming_sessions` has one.
    async def stream[*Ts](self, statement: Query[*Ts], params: Parameters | None = None, /) -> AsyncResult[*Ts]: ...


class _ReadOnlySession(Session):
    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ReadOnlyError

    # Refuse `add`, too: `before_flush` alone would silently lose an object that is added but never flushed.
    add = add_all = delete = merge = commit = begin_nested = connection = _refuse


class ReadOnlySession(AsyncSession):
    """The `ReadSession` of a request."""

    sync_session_class = _ReadOnlySession


@event.listens_for(_ReadOnlySession, "before_flush")
def _refuse_flush(*_: object) -> NoReturn:
    raise ReadOnlyError


@event.listens_for(_ReadOnlySession, "do_orm_execute")
def _refuse_write(state: ORMExecuteState) -> None:
    # A SELECT may contain an INSERT … RETURNING as a common table expression. The search takes 12 microseconds.
    statement = state.statement
    if not isinstance(statement, Select | CompoundSelect) or any(
        getattr(part, "is_dml", False) for part in iterate(statement)
    ):
        raise ReadOnlyError


class DatabaseUnavailableError(ConnectionError):
    """The database cannot be reached, or does not answer in time.

    A separate type, so that a ConnectionError of other code is not reported as an outage of the database.
    """


class Pool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, but requests get connections in turn, and errors are raised as DatabaseUnavailableError.

    In SQLAlchemy's own queue, a new request can take the connection for which another request was woken, and which
    then waits again behind all others.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turns = asyncio.Semaphore(self.size())
        self._with_turn: set[asyncio.Task[Any] | None] = set()

    def _do_get(self) -> ConnectionPoolEntry:
        task = asyncio.current_task()
        if task in self._with_turn:  # SQLAlchemy's method calls itself
            return super()._do_get()
        await_only(self._wait_for_turn())
        self._with_turn.add(task)
        try:
            return super()._do_get()
        except BaseException:
            self._turns.release()
            raise
        finally:
            self._with_turn.discard(task)

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        self._turns.release()

    async def _wait_for_turn(self) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(self.timeout()):
                await self._turns.acquire()
        except TimeoutError:
            raise PoolTimeoutError("All connections of the pool are in use.") from None

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except (OSError, PoolTimeoutError) as error:
            raise DatabaseUnavailableError(str(error)) from error
        except asyncpg.PostgresError as error:
            if not is_temporary(error.sqlstate):
                raise
            raise DatabaseUnavailableError(str(error)) from error


def get_database(request: HTTPConnection) -> "Database":
    """Return the database of the application."""
    database: Database = request.app.state.core.database  # not by `state_of`: the engine imports this module
    return database


async def get_db(request: HTTPConnection) -> AsyncGenerator[WriteSession]:
    """Yield a session with a transaction: committed when the handler returns, rolled back when it raises."""
    async with get_database(request).sessions.begin() as session:
        yield session
        if request.scope.get(FAILED):
            await session.rollback()


async def get_read_only_db(request: HTTPConnection) -> AsyncGenerator[ReadSession]:
    """Yield a read-only session without a transaction: each statement sees the latest committed data."""
    async with get_database(request).read_sessions() as session:
        yield session


# scope="function" commits before the response is sent, so that a failed commit is a 500 and not a 201.
Transaction = Annotated[WriteSession, Depends(get_db, scope="function")]
ReadOnly = Annotated[ReadSession, Depends(get_read_only_db, scope="function")]

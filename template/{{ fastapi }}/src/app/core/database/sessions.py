"""Sessions that write and sessions that read, two types for the type checker, and the pool of their connections."""

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import asyncpg
from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy import CompoundSelect, Result, ScalarResult, Select, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncResult, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
from sqlalchemy.sql.visitors import iterate

from app.core.database.sqlstate import is_temporary

if TYPE_CHECKING:
    from app.core.database.engine import Database

FAILED = "app.failed"
"""Key in the scope of a request: whether a route with a class of its own raised, and so must not be committed."""

type Query[*Ts] = Select[*Ts] | CompoundSelect[*Ts]
type Parameters = Mapping[str, Any]


class ReadOnlyError(Exception):
    """A statement that writes was given to a session that only reads."""

    def __init__(self) -> None:
        super().__init__(
            "A read session cannot write: declare `session: Transaction` on the route instead of `ReadOnly`."
        )


class WriteSession(AsyncSession):
    """SQLAlchemy's session in a transaction. It can be used wherever a `ReadSession` is wanted."""


class ReadSession(Protocol):
    """A session for SELECT statements. All else is a type error, and fails when it runs."""

    async def get[T](self, entity: type[T], ident: Any, /) -> T | None: ...
    async def execute[*Ts](self, statement: Query[*Ts], params: Parameters | None = None, /) -> Result[*Ts]: ...
    async def scalar[T](self, statement: Query[T], params: Parameters | None = None, /) -> T | None: ...
    async def scalars[T](self, statement: Query[T], params: Parameters | None = None, /) -> ScalarResult[T]: ...

    # A server-side cursor lives in a transaction: only a session of `Database.streaming_sessions` has one.
    async def stream[*Ts](self, statement: Query[*Ts], params: Parameters | None = None, /) -> AsyncResult[*Ts]: ...


class _ReadOnlySession(Session):
    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ReadOnlyError

    # `before_flush` alone would lose, without an error, an object that is added and never flushed.
    add = add_all = delete = merge = commit = begin_nested = connection = _refuse


class ReadOnlySession(AsyncSession):
    """The `ReadSession` that a request gets."""

    sync_session_class = _ReadOnlySession


@event.listens_for(_ReadOnlySession, "before_flush")
def _refuse_flush(*_: object) -> NoReturn:
    raise ReadOnlyError


@event.listens_for(_ReadOnlySession, "do_orm_execute")
def _refuse_write(state: ORMExecuteState) -> None:
    # A SELECT may hold an INSERT … RETURNING as a common table expression. To look for one takes 12 microseconds.
    statement = state.statement
    if not isinstance(statement, Select | CompoundSelect) or any(
        getattr(part, "is_dml", False) for part in iterate(statement)
    ):
        raise ReadOnlyError


class DatabaseUnavailableError(ConnectionError):
    """The database cannot be reached, or does not answer in time.

    A type of its own, so that a refused call of other code is not taken for an outage of the database.
    """


class Pool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which raises DatabaseUnavailableError where asyncpg and SQLAlchemy raise general errors."""

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
    """The application's database."""
    database: Database = request.app.state.core.database  # not by `state_of`: the engine imports this module
    return database


async def get_db(request: HTTPConnection) -> AsyncGenerator[WriteSession]:
    """Give the session of one transaction: committed when the handler returns, rolled back when it raises."""
    async with get_database(request).sessions.begin() as session:
        yield session
        if request.scope.get(FAILED):
            await session.rollback()


async def get_read_only_db(request: HTTPConnection) -> AsyncGenerator[ReadSession]:
    """Give a session that only reads: every statement sees what is committed, and no transaction is held open."""
    async with get_database(request).read_sessions() as session:
        yield session


# `function` ends the transaction before the response is sent: a commit that fails is a 500, never a 201.
Transaction = Annotated[WriteSession, Depends(get_db, scope="function")]
ReadOnly = Annotated[ReadSession, Depends(get_read_only_db, scope="function")]

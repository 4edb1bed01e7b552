"""Sessions for writing and for reading, as different types, and the connection pool."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import asyncpg
from fastapi import Depends, Header, Request, Response
from fastapi.requests import HTTPConnection
from fastapi.routing import APIRoute
from sqlalchemy import CompoundSelect, Result, ScalarResult, Select, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncResult, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.pool.base import _ConnectionRecord
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty

from app.core.database.sqlstate import is_temporary
from app.core.idempotency.keys import CALLER, KEY_DESCRIPTION, IdempotencyKey
from app.core.idempotency.responses import RESPONSE, stored_once
from app.core.problems import Unauthorized

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

    async def get[T](
        self, entity: type[T], ident: Any, /, *, options: Sequence[ORMOption] | None = None
    ) -> T | None: ...
    async def refresh(self, instance: object, /, attribute_names: Iterable[str] | None = None) -> None: ...
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


class FairQueue(AsyncAdaptedQueue[ConnectionPoolEntry]):
    """Gives connections to requests in turn.

    In SQLAlchemy's own queue, a new request can take the connection for which another request was woken, and which
    then waits again behind all others.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self._turns = asyncio.Lock()  # first come, first served
        self._waiting = 0

    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        if not self._waiting and not self.empty():
            return self.get_nowait()
        if not block:
            raise Empty
        try:
            return await_only(asyncio.wait_for(self._wait_in_turn(), timeout))
        except TimeoutError:
            raise Empty from None

    async def _wait_in_turn(self) -> ConnectionPoolEntry:
        self._waiting += 1
        try:
            async with self._turns:
                return await self._queue.get()
        finally:
            self._waiting -= 1


class Pool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, but requests get connections in turn, and errors are raised as DatabaseUnavailableError."""

    _queue_class = FairQueue

    def _create_connection(self) -> ConnectionPoolEntry:
        # Connect at the check-out: if that fails, the next request in turn tries to connect.
        return _ConnectionRecord(self, connect=False)

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except PoolTimeoutError as error:
            raise DatabaseUnavailableError("All connections of the pool are in use.") from error
        except OSError as error:
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
    # Not `sessions.begin()`: after a `commit` of its own, the handler can go on, as with `refresh`.
    async with get_database(request).sessions() as session:
        yield session
        if not request.scope.get(FAILED):
            await session.commit()


async def get_idempotent_db(
    request: Request,
    idempotency_key: Annotated[
        IdempotencyKey | None, Header(alias="Idempotency-Key", description=KEY_DESCRIPTION)
    ] = None,
) -> AsyncGenerator[WriteSession]:
    """Yield a session as `get_db` does. A repeated request with the same key gets the response of the first."""
    async with asynccontextmanager(get_db)(request) as session:
        if idempotency_key is None:
            yield session
        elif (caller := request.scope.get(CALLER)) is None:
            raise Unauthorized("An Idempotency-Key needs a token.")
        else:
            async with stored_once(session, request, caller, idempotency_key):
                yield session


async def get_read_only_db(request: HTTPConnection) -> AsyncGenerator[ReadSession]:
    """Yield a read-only session without a transaction: each statement sees the latest committed data."""
    async with get_database(request).read_sessions() as session:
        yield session


# scope="function" commits before the response is sent, so that a failed commit is a 500 and not a 201.
Transaction = Annotated[WriteSession, Depends(get_db, scope="function")]
IdempotentTransaction = Annotated[WriteSession, Depends(get_idempotent_db, scope="function")]
ReadOnly = Annotated[ReadSession, Depends(get_read_only_db, scope="function")]


class _Watched(APIRoute):
    """Stores the response of FastAPI's handler in the scope of the request, or the fact that the handler raised."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def watched(request: Request) -> Response:
            request.scope[FAILED] = True
            request.scope[RESPONSE] = response = await handler(request)
            request.scope[FAILED] = False
            return response

        return watched


def watch_route(route: APIRoute) -> None:
    """Roll back the transaction when the function of a route raises, also if the route has its own APIRoute subclass.

    A subclass may catch the error in `get_route_handler`. FastAPI closes the dependencies outside of that method.
    Without `_Watched` as an additional base class, the transaction would not see the error, and would commit. The
    response of an idempotent route is recorded, too.
    """
    dependants = [route.dependant]
    for dependant in dependants:
        dependants += dependant.dependencies
    kind = type(route)
    is_idempotent = any(dependant.call is get_idempotent_db for dependant in dependants)
    if not isinstance(route, _Watched) and (kind is not APIRoute or is_idempotent):
        route.__class__ = type(kind.__name__, (_Watched,) if kind is APIRoute else (kind, _Watched), {})

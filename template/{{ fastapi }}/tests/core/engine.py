"""Fixtures of the FastAPI engine."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.accounts import events
from app.core.accounts.events import Listener, UserEvent
from app.core.accounts.models import User
from app.core.accounts.service import UserService, add_user
from app.core.config import Settings
from app.core.database.base import Base
from app.core.database.engine import Database, script_engine
from app.core.database.sessions import WriteSession
from app.core.http.application import create_app as create_core_app
from app.core.http.limits.rates import RateLimits
from app.core.http.state import State, state_of
from app.core.mail import send
from app.core.problems import ErrorBody
from app.core.security.bearer import TokenVerifier
from app.core.security.passwords import hash_password
from app.core.security.tokens import LocalTokens
from app.core.slices import PACKAGE
from app.core.testing import IDENTITY_PROVIDER, Accounts, Execute, Listen, MakeClient, Rows
from app.main import create_app


@pytest.fixture(scope="session")
def execute(server_url: str) -> Iterator[Execute]:
    """Run a statement on the server; return the first column of its result."""
    engine = script_engine(Settings(database_url=server_url)).execution_options(isolation_level="AUTOCOMMIT")
    with asyncio.Runner() as runner:
        connection = runner.run(engine.connect().start())

        def execute(sql: str) -> list[Any]:
            result = runner.run(connection.exec_driver_sql(sql))
            return list(result.scalars()) if result.returns_rows else []

        yield execute
        runner.run(connection.close())


@pytest.fixture(scope="session")
def connected() -> Callable[[], AbstractContextManager[None]]:
    """Do nothing: with SQLAlchemy, each test connects to DATABASE_URL by itself."""
    return nullcontext


@pytest.fixture(scope="session")
def migrations() -> bytes:
    """All migrations: a change rebuilds the template database."""
    return b"".join(path.read_bytes() for path in sorted(PACKAGE.glob("**/migrations/*.py")))


@pytest.fixture(scope="session")
def application(settings: Settings) -> FastAPI:
    """The application, created once: only its state differs between tests."""
    return create_app(settings)


@pytest.fixture(scope="session")
def engine(settings: Settings) -> AsyncEngine:
    """An engine without a pool: a connection belongs to an event loop, and each test has its own loop."""
    return script_engine(settings)


@pytest.fixture
async def connection(engine: AsyncEngine, cheap_passwords: None) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that is rolled back after the test, including inner commits."""
    async with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        await transaction.rollback()


@pytest.fixture
async def db_session(connection: AsyncConnection) -> AsyncIterator[WriteSession]:
    """A session for the test. The test sees commits of requests, and requests see commits of the test."""
    async with Database(connection).sessions() as session:
        yield session


@pytest.fixture
def app(
    application: FastAPI, settings: Settings, connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    """The application on the test's connection, with new rate limits. `dependency_overrides` end with the test."""
    kind = state_of(application).error_body
    application.state.core = State(settings, Database(connection), RateLimits(settings), LocalTokens(settings), kind)
    monkeypatch.setattr(application, "dependency_overrides", dict(application.dependency_overrides))
    return application


@pytest.fixture
def served(app: FastAPI) -> dict[str, str]:
    """Every route of the API, such as "GET /api/v1/users", and the slice (or `core`) of its function."""
    return {
        f"{method} {route.path_format}": route.endpoint.__module__.split(".")[1]
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and route.endpoint
        for method in route.methods or ()
    }


@pytest.fixture
async def async_client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with _client(app) as client:
        yield client


@pytest.fixture
def make_client(settings: Settings, connection: AsyncConnection) -> MakeClient:
    """A client of an application with other settings: `make_client(environment="production")`."""

    def make(**changes: Any) -> httpx2.AsyncClient:
        app = create_app(Settings.model_validate(settings.model_dump() | changes))
        state_of(app).database = Database(connection)
        return _client(app)

    return make


@pytest.fixture
def formatted_client(settings: Settings, connection: AsyncConnection) -> Callable[..., httpx2.AsyncClient]:
    """A client of an application with another error format: `formatted_client(Errors, max_json_bytes=1024)`."""

    def make(kind: type[ErrorBody], **changes: Any) -> httpx2.AsyncClient:
        app = create_core_app(Settings.model_validate(settings.model_dump() | changes), error_body=kind)
        state_of(app).database = Database(connection)
        return _client(app)

    return make


@pytest.fixture
def trust(app: FastAPI, settings: Settings) -> Callable[[TokenVerifier], None]:
    """Make the application accept the tokens of an identity provider."""

    def trust(tokens: TokenVerifier) -> None:
        state_of(app).tokens = tokens
        state_of(app).settings = settings.model_copy(update=IDENTITY_PROVIDER)

    return trust


@pytest.fixture
def http_error() -> Callable[..., Exception]:
    """The framework's exception class: `http_error(status, detail)`."""
    return HTTPException


@pytest.fixture(scope="session")
def filled(engine: AsyncEngine) -> bool:
    """True if a migration inserts rows."""
    selects = " UNION ALL ".join(f'(SELECT 1 FROM "{table.name}" LIMIT 1)' for table in Base.metadata.sorted_tables)

    async def find() -> bool:
        async with engine.connect() as connection:
            return (await connection.exec_driver_sql(selects)).first() is not None

    return asyncio.run(find())


@pytest.fixture
def committed_database(
    database_url: str, engine: AsyncEngine, filled: bool, copy_template: Callable[[], str], cheap_passwords: None
) -> Iterator[str]:
    """The database for a test with real commits. After the test, it holds only the rows of the migrations."""
    yield database_url
    if filled:
        copy_template()
        return

    async def empty() -> None:
        tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")

    asyncio.run(empty())


@pytest.fixture
async def committing_app(app: FastAPI, settings: Settings, committed_database: str) -> AsyncIterator[FastAPI]:
    """The application on its own connections, for concurrent requests."""
    state_of(app).database = Database.connect(settings)
    yield app
    await state_of(app).database.close()


@pytest.fixture
async def committing_async_client(committing_app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(committing_app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def transact(committing_app: FastAPI) -> Callable[..., Awaitable[None]]:
    """Send messages, then call `then`, in one transaction: `await transact({"to": "ada@example.com", …})`."""
    database = state_of(committing_app).database

    async def transact(*messages: dict[str, Any], then: Callable[[], object] = lambda: None) -> None:
        async with database.sessions.begin() as session:
            for message in messages:
                await send(session, **message)
            then()

    return transact


@pytest.fixture
def create_user(db_session: WriteSession, application: FastAPI) -> Callable[..., Awaitable[User]]:
    """Create a user with these fields; `password` is plain text or None."""

    async def create(**fields: Any) -> User:
        password = fields.pop("password")
        user = await add_user(db_session, **fields, password=password and hash_password(password))
        await db_session.commit()
        return user

    return create


@dataclass
class Service:
    """The service functions of accounts, each in a transaction of its own on the test's connection."""

    connection: AsyncConnection

    async def _call[T](self, function: Callable[[UserService, User], Awaitable[T]], user: User) -> T:
        async with Database(self.connection).sessions.begin() as session:
            service = UserService(session)
            locked = await service.users.lock(user.id)
            assert locked
            return await function(service, locked)

    async def deactivate(self, user: User) -> None:
        await self._call(UserService.deactivate, user)

    async def activate(self, user: User) -> None:
        await self._call(UserService.activate, user)

    async def erase(self, user: User) -> None:
        await self._call(UserService.erase, user)

    async def export(self, user: User) -> dict[str, Any]:
        return (await self._call(UserService.export, user)).model_dump(mode="json")

    async def set_password(self, user: User, password: str) -> None:
        await self._call(lambda service, found: service.set_password(found, hash_password(password)), user)

    async def give_role(self, user: User, role: str) -> None:
        await self._call(lambda service, found: service.users.add_roles(found.id, [role]), user)


@pytest.fixture
def accounts(connection: AsyncConnection) -> Accounts:
    return Service(connection)


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Connect a function to an event of accounts, until the test ends."""
    connected: list[tuple[UserEvent[Any], Listener[Any]]] = []

    def listen(event: str, function: Callable[[User], Any], *, of: str = "newcomer") -> None:
        async def listener(session: WriteSession, user: User) -> Any:
            assert session.in_transaction()
            return function(user)

        listener.__module__ = f"app.{of}.listeners"
        chosen: UserEvent[Any] = getattr(events, event)
        connected.append((chosen, chosen.connect(listener)))

    yield listen
    for chosen, listener in connected:
        chosen.disconnect(listener)


@pytest.fixture
def rows(connection: AsyncConnection) -> Rows:
    """Run a statement on the test's connection; return its rows."""

    async def rows(statement: str) -> list[dict[str, Any]]:
        return [dict(row) for row in (await connection.exec_driver_sql(statement)).mappings()]

    return rows


@pytest.fixture
def statements(connection: AsyncConnection) -> Iterator[list[str]]:
    """SQL statements that are sent to the database, without savepoints and the reading of revocations."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "SAVEPOINT" not in statement and not re.search("(revoked_at|ended_at) >", statement):
            sent.append(statement)

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection.sync_connection, "before_cursor_execute", note)


def _client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


@pytest.fixture
def sql() -> Execute:
    """Run and commit a statement on DATABASE_URL; return the first column of its result."""

    async def run(statement: str) -> list[Any]:
        engine = script_engine(Settings(database_url=os.environ["DATABASE_URL"]))
        async with engine.begin() as connection:
            result = await connection.exec_driver_sql(statement)
            rows = list(result.scalars()) if result.returns_rows else []
        await engine.dispose()
        return rows

    return lambda statement: asyncio.run(run(statement))


@pytest.fixture
def write_models() -> Callable[..., str]:
    """Return a `models.py` with one table that refers to a user and, if `refers_to` is given, to another slice."""

    def write(name: str, *columns: str, refers_to: str | None = None) -> str:
        lines = [
            "from sqlalchemy import BigInteger, ForeignKey, Identity",
            "from sqlalchemy.orm import Mapped, mapped_column",
            "from app.core import Base",
            f"class {name.title()}(Base):",
            f"    __tablename__ = '{name}'",
            "    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)",
            "    user_id: Mapped[int] = mapped_column(ForeignKey('users.id'))",
            *([f"    {refers_to}_id: Mapped[int] = mapped_column(ForeignKey('{refers_to}.id'))"] if refers_to else []),
            *(f"    {column}: Mapped[str | None]" for column in columns),
        ]
        return "\n".join(lines)

    return write


@pytest.fixture
def migrated_table() -> str:
    """A table that the migrations fill."""
    return "core_revisions"

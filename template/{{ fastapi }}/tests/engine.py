"""The fixtures of FastAPI and SQLAlchemy."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

import app as package
from app.config import Settings
from app.db import Base, Database, script_engine
from app.main import create_app
from app.rate_limits import RateLimits
from app.security import LocalTokens, TokenVerifier
from app.users.models import User
from support import IDENTITY_PROVIDER, Execute, MakeClient


@pytest.fixture(scope="session")
def execute(server_url: str) -> Iterator[Execute]:
    """Runs a statement on the server, and returns the first column of what it says."""
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
    """Connects to DATABASE_URL; here whoever needs a connection makes it."""
    return nullcontext


@pytest.fixture(scope="session")
def migrations() -> bytes:
    """All that decides what the tables look like."""
    versions = Path(package.__file__).parent / "migrations" / "versions"
    return b"".join(path.read_bytes() for path in sorted(versions.glob("*.py")))


@pytest.fixture(scope="session")
def application(settings: Settings) -> FastAPI:
    """The application, put together once: only its state differs between tests."""
    return create_app(settings)


@pytest.fixture(scope="session")
def engine(settings: Settings) -> AsyncEngine:
    """What connects. It keeps no connection: each test has an event loop of its own, which a connection belongs to."""
    return script_engine(settings)


@pytest.fixture
async def connection(engine: AsyncEngine, cheap_passwords: None) -> AsyncIterator[AsyncConnection]:
    """A connection whose transaction is rolled back after the test, whatever was committed inside it."""
    async with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        await transaction.rollback()


@pytest.fixture
async def db_session(connection: AsyncConnection) -> AsyncIterator[AsyncSession]:
    """A session for the test itself. It sees what requests have committed, and they see what it commits."""
    async with Database(connection).sessions() as session:
        yield session


@pytest.fixture
def app(application: FastAPI, settings: Settings, connection: AsyncConnection) -> FastAPI:
    """The application on the test's connection, with fresh counters."""
    application.state.settings = settings
    application.state.database = Database(connection)
    application.state.rate_limits = RateLimits(settings)
    application.state.tokens = LocalTokens(settings)
    application.state.draining = False
    return application


@pytest.fixture
async def async_client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, without a token."""
    async with _client(app) as client:
        yield client


@pytest.fixture
def make_client(settings: Settings, connection: AsyncConnection) -> MakeClient:
    """A client of an application with other settings: `make_client(environment="production")`."""

    def make(**changes: Any) -> httpx2.AsyncClient:
        app = create_app(Settings.model_validate(settings.model_dump() | changes))
        app.state.database = Database(connection)
        return _client(app)

    return make


@pytest.fixture
def trust(app: FastAPI, settings: Settings) -> Callable[[TokenVerifier], None]:
    """Makes the application accept the tokens of an identity provider."""

    def trust(tokens: TokenVerifier) -> None:
        app.state.tokens = tokens
        app.state.settings = settings.model_copy(update=IDENTITY_PROVIDER)

    return trust


@pytest.fixture
def committed_database(database_url: str, engine: AsyncEngine, cheap_passwords: None) -> Iterator[str]:
    """The database for a test that really commits: emptied afterwards."""
    yield database_url

    async def empty() -> None:
        tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")

    asyncio.run(empty())


@pytest.fixture
async def committing_app(app: FastAPI, settings: Settings, committed_database: str) -> AsyncIterator[FastAPI]:
    """The application on connections of its own, for requests at the same time."""
    app.state.database = Database.connect(settings)
    yield app
    await app.state.database.close()


@pytest.fixture
def create_user(db_session: AsyncSession) -> Callable[..., Awaitable[User]]:
    """Stores a user with these fields."""

    async def create(**fields: Any) -> User:
        user = User(**fields)
        db_session.add(user)
        await db_session.commit()
        return user

    return create


@pytest.fixture
def statements(connection: AsyncConnection) -> Iterator[list[str]]:
    """What is sent to the database, savepoints apart."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "SAVEPOINT" not in statement:
            sent.append(statement)

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection.sync_connection, "before_cursor_execute", note)


def _client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")

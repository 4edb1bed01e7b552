"""What the tests stand on: a real PostgreSQL, and a transaction a test that is rolled back.

One server serves the session. The migrations run once, into a template database that the next session finds again, and
each pytest-xdist worker gets a copy of it.
"""

import asyncio
import hashlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from alembic import command
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import CursorResult, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

import app as package
from app import embedded, security
from app.__main__ import alembic_config
from app.about import ABOUT
from app.config import Settings
from app.db import Base, Database, asyncpg_url
from app.main import create_app
from app.rate_limits import RateLimits
from app.security import ADMIN, LocalTokens, hash_password
from app.users.models import User
from support import PASSWORD, Headers, MakeClient, SignIn, UserFactory

# The settings of a developer's shell are not the tests'.
for name in Settings.model_fields:
    os.environ.pop(name.upper(), None)
os.environ["ENVIRONMENT"] = "test"


@pytest.fixture(scope="session")
def database_url(worker_id: str, testrun_uid: str) -> Iterator[str]:
    """The URL of this worker's own database."""
    server = os.environ.get("TEST_DATABASE_URL") or embedded.start("postgres")
    own = f"{ABOUT.name}_{worker_id}_{testrun_uid[:8]}"
    with asyncio.Runner() as runner:
        engine = create_async_engine(_asyncpg(server), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        admin = runner.run(engine.connect().start())

        def execute(sql: str) -> CursorResult[Any]:
            return runner.run(admin.exec_driver_sql(sql))

        template = _template(execute, server)
        execute(f'CREATE DATABASE "{own}" TEMPLATE "{template}"')
        execute(f'ALTER DATABASE "{own}" SET synchronous_commit = off')
        os.environ["DATABASE_URL"] = _named(server, own)
        yield os.environ["DATABASE_URL"]
        execute(f'DROP DATABASE "{own}" WITH (FORCE)')
        runner.run(admin.close())


def _template(execute: Callable[[str], CursorResult[Any]], server: str) -> str:
    """The name of a database that all migrations were applied to; made by whichever worker comes first."""
    versions = Path(package.__file__).parent / "migrations" / "versions"
    content = b"".join(path.read_bytes() for path in sorted(versions.glob("*.py")))
    prefix = f"{ABOUT.name}_template_"
    name = prefix + hashlib.sha256(content).hexdigest()[:8]
    execute(f"SELECT pg_advisory_lock(hashtext('{prefix}'))")
    found = set(execute("SELECT datname FROM pg_database").scalars())
    if name not in found:
        for old in (old for old in found if old.startswith(prefix)):
            execute(f'DROP DATABASE "{old}" WITH (FORCE)')
        # Under its own name only when it is whole.
        execute(f'CREATE DATABASE "{prefix}new"')
        os.environ["DATABASE_URL"] = _named(server, f"{prefix}new")
        command.upgrade(alembic_config(), "heads")
        execute(f'ALTER DATABASE "{prefix}new" RENAME TO "{name}"')
    execute(f"SELECT pg_advisory_unlock(hashtext('{prefix}'))")
    return name


def _asyncpg(url: str) -> str:
    return asyncpg_url(Settings(database_url=url))


def _named(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """The settings that the application under test is made with."""
    return Settings(environment="test", database_url=database_url, log_level="warning")


@pytest.fixture(scope="session")
def application(settings: Settings) -> FastAPI:
    """The application, put together once: only its state differs between tests."""
    return create_app(settings)


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes take next to no work, where a tenth of a second each would be the most of the test."""
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(security, "_passwords", lambda: hasher)
    forget = security._nobodys_hash.cache_clear
    forget()
    yield
    forget()


@pytest.fixture(scope="session")
def engine(settings: Settings) -> AsyncEngine:
    """What connects. It keeps no connection: each test has an event loop of its own, which a connection belongs to."""
    return create_async_engine(asyncpg_url(settings), poolclass=NullPool)


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
def committed_database(database_url: str, engine: AsyncEngine) -> Iterator[str]:
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
def user_factory(db_session: AsyncSession) -> UserFactory:
    """Makes a user: `await user_factory(name="Ada")`. Everybody's password is PASSWORD."""
    numbers = itertools.count(1)

    async def create(**fields: Any) -> User:
        defaults = {
            "name": "Grace Hopper",
            "email": f"user{next(numbers)}@example.com",
            "password_hash": _hash_of(PASSWORD),
        }
        user = User(**(defaults | fields))
        db_session.add(user)
        await db_session.commit()
        return user

    return create


@pytest.fixture
def sign_in(settings: Settings) -> SignIn:
    """The headers of a request by a user."""

    def headers(user: User) -> Headers:
        token = LocalTokens(settings).issue(str(user.id), {ADMIN} if user.is_admin else ())
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
async def admin(user_factory: UserFactory, sign_in: SignIn) -> Headers:
    """The headers of a request by an administrator."""
    return sign_in(await user_factory(name="Admin", email="admin@example.com", is_admin=True))


def _client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


@cache
def _hash_of(password: str) -> str:
    return hash_password(password)

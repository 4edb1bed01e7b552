"""The transaction of a request, and errors of the database."""

import asyncio
import threading
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Integer, column, func, insert, select, table, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.accounts.models import User
from app.core.config import ConfigError, Settings
from app.core.database.engine import Database
from app.core.database.repository import BaseRepository
from app.core.database.sessions import ReadOnly, ReadSession, Transaction, WriteSession
from app.core.http.state import state_of
from app.core.problems import Unprocessable
from app.core.testing import Headers, UserFactory, assert_problem
from app.main import create_app

ADA = {"name": "Ada", "email": "ada@example.com", "password": "engine no. 1"}


@pytest.fixture
def probe(settings: Settings, app: FastAPI) -> FastAPI:
    """An application with failing routes, on the test's connection."""
    probe = create_app(settings)
    state_of(probe).database = state_of(app).database

    @probe.post("/fail-after-write")
    async def fail_after_write(session: Transaction) -> None:
        session.add(User(name="Lost", email="lost@example.com"))
        await session.flush()
        raise RuntimeError("secret of the server")

    @probe.get("/slow")
    async def slow(session: ReadOnly) -> None:
        await session.execute(select(func.pg_sleep(10)))

    return probe


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


class Users[Session: ReadSession](BaseRepository[User, Session]):
    model = User


async def test_null_for_required_column_is_unprocessable(db_session: WriteSession, user_factory: UserFactory) -> None:
    user = await user_factory()
    with pytest.raises(Unprocessable) as refused:
        await Users(db_session).update(user, {"name": None, "email": None})
    assert [error.pointer for error in refused.value.errors] == ["/body/name"]
    assert user.name


async def users_named(session: AsyncSession, name: str) -> int:
    return await session.scalar(select(func.count()).select_from(User).where(User.name == name)) or 0


async def test_error_rolls_back_and_hides_details(probe: FastAPI, db_session: AsyncSession) -> None:
    async with client_of(probe) as client:
        response = await client.post("/fail-after-write")
    assert_problem(response, 500)
    assert "secret" not in response.text
    assert response.headers["x-frame-options"] == "DENY"
    assert await users_named(db_session, "Lost") == 0


@pytest.mark.slow
async def test_failed_commit_is_500(committing_app: FastAPI) -> None:
    # A deferred constraint fails at the commit, after the handler has returned.
    deferred = "ALTER TABLE users ADD CONSTRAINT probe UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
    async with state_of(committing_app).database.sessions.begin() as session:
        await session.execute(text(deferred))
    try:
        async with client_of(committing_app) as client:
            assert (await client.post("/api/v1/users", json=ADA)).status_code == 201
            assert_problem(await client.post("/api/v1/users", json=ADA | {"email": "other@example.com"}), 500)
    finally:
        async with state_of(committing_app).database.sessions.begin() as session:
            await session.execute(text("ALTER TABLE users DROP CONSTRAINT probe"))


async def test_request_commits_its_transaction(async_client: httpx2.AsyncClient, db_session: AsyncSession) -> None:
    assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 201
    assert await users_named(db_session, "Ada") == 1


async def test_refused_request_keeps_session_usable(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, db_session: AsyncSession
) -> None:
    await user_factory(email="ada@example.com")
    assert_problem(await async_client.post("/api/v1/users", json=ADA), 409)
    assert await users_named(db_session, "Ada") == 0


@pytest.mark.slow
async def test_each_request_has_its_own_session(committing_app: FastAPI) -> None:
    async with client_of(committing_app) as client:
        bodies = [ADA | {"email": f"{number}@example.com"} for number in range(8)]
        responses = await asyncio.gather(*(client.post("/api/v1/users", json=body) for body in bodies))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 8


@pytest.mark.slow
async def test_concurrent_registration_creates_one_user(committing_app: FastAPI) -> None:
    async with client_of(committing_app) as client:
        responses = await asyncio.gather(*(client.post("/api/v1/users", json=ADA) for _ in range(4)))
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]


async def test_unreachable_database_is_503(probe: FastAPI, settings: Settings, admin: Headers) -> None:
    gone = settings.model_copy(update={"database_url": "postgresql://unknown@127.0.0.1:9/nothing"})
    state_of(probe).database = Database.connect(gone)
    async with client_of(probe) as client:
        response = await client.get("/api/v1/users/1", headers=admin)
        assert_problem(response, 503)
        assert response.headers["retry-after"] == "1"
        assert_problem(await client.get("/api/v1/users/export", headers=admin), 503)
        assert_problem(await client.get("/health/ready"), 503)
        assert (await client.get("/health/live")).status_code == 200


async def use(database: Database) -> None:
    """Run a query on a connection of the pool."""
    async with database.read_sessions() as session:
        await session.execute(select(1))


@pytest.mark.slow
async def test_closed_connection_is_replaced(settings: Settings) -> None:
    database, other = Database.connect(settings), Database.connect(settings)
    await use(database)
    async with other.read_sessions() as session:
        activity = table("pg_stat_activity", column("pid", Integer), column("datname"), column("backend_type"))
        others = (activity.c.datname == func.current_database()) & (activity.c.pid != func.pg_backend_pid())
        clients = activity.c.backend_type == "client backend"  # autovacuum works in any database
        ended = select(func.pg_terminate_backend(activity.c.pid, 5000)).where(others, clients)
        assert (await session.scalars(ended)).all() == [True]
    await use(database)
    await database.close()
    await other.close()


async def test_database_error_has_no_parameter_values(settings: Settings) -> None:
    database = Database.connect(settings)
    with pytest.raises(IntegrityError) as failed:
        async with database.sessions.begin() as session:
            await session.execute(insert(User).values(name="", email="ada@example.com", subject="hunter2"))
    assert "INSERT INTO users" in str(failed.value)
    assert "[SQL parameters hidden" in str(failed.value)
    await database.close()


@pytest.mark.slow
async def test_slow_statement_is_503(probe: FastAPI, settings: Settings) -> None:
    state_of(probe).database = Database.connect(settings.model_copy(update={"database_timeout_seconds": 0.1}))
    async with client_of(probe) as client:
        assert_problem(await client.get("/slow"), 503)
    await state_of(probe).database.close()


@pytest.mark.slow
async def test_exhausted_pool_is_503(probe: FastAPI, settings: Settings) -> None:
    few = settings.model_copy(update={"database_pool_size": 1, "database_timeout_seconds": 0.2})
    state_of(probe).database = Database.connect(few)
    async with client_of(probe) as client, asyncio.timeout(5):
        responses = await asyncio.gather(*(client.get("/slow") for _ in range(3)))
    assert {response.status_code for response in responses} == {503}
    await state_of(probe).database.close()


async def test_libpq_url_parameters_are_supported(settings: Settings) -> None:
    url = urlsplit(str(settings.database_url))
    query = f"{url.query}&sslmode=prefer&application_name=tests&options=-c%20work_mem%3D8MB".removeprefix("&")
    database = Database.connect(settings.model_copy(update={"database_url": url._replace(query=query).geturl()}))
    async with database.read_sessions() as session:
        names = ("application_name", "work_mem", "statement_timeout", "idle_in_transaction_session_timeout")
        found = [await session.scalar(select(func.current_setting(name))) for name in names]
    assert found == ["tests", "8MB", "10s", "10s"]
    await database.close()


async def test_breakpoint_in_a_transaction_has_no_time_limit(settings: Settings) -> None:
    database = Database.connect(settings.model_copy(update={"environment": "development"}))
    async with database.read_sessions() as session:
        assert await session.scalar(select(func.current_setting("idle_in_transaction_session_timeout"))) == "0"
    await database.close()


def test_unsupported_url_parameters_are_refused() -> None:
    url = "postgresql://u@h/d?sslmode=require&channel_binding=require&connect_timeout=10"
    with pytest.raises(ConfigError) as refused:
        Database.connect(Settings(database_url=url))
    expected = "DATABASE_URL has parameters that asyncpg does not support: remove channel_binding and connect_timeout."
    assert str(refused.value) == expected


@pytest.mark.parametrize("place", ["nowhere.invalid", "%2Fno%2Fsuch%2Ffolder"])
async def test_unknown_database_host_is_503(probe: FastAPI, settings: Settings, admin: Headers, place: str) -> None:
    url = f"postgresql://unknown@{place}/nothing"
    state_of(probe).database = Database.connect(settings.model_copy(update={"database_url": url}))
    async with client_of(probe) as client:
        assert_problem(await client.get("/api/v1/users/1", headers=admin), 503)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TimeoutError(), 503),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), 503),
        (asyncpg.CannotConnectNowError("the database system is starting up"), 503),
        (asyncpg.InvalidPasswordError("password authentication failed"), 500),
    ],
)
async def test_temporary_connection_error_is_503(
    probe: FastAPI, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("asyncpg.connect", refuse)
    state_of(probe).database = Database.connect(settings)
    async with client_of(probe) as client:
        assert_problem(await client.get("/slow"), status)


@pytest.mark.parametrize("method", ["fetchrow", "prepare"], ids=["ping", "statement"])
async def test_connection_that_does_not_answer_is_503(
    probe: FastAPI, settings: Settings, admin: Headers, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async def wait(*_: Any, **__: Any) -> None:
        raise TimeoutError

    state_of(probe).database = Database.connect(settings)
    await use(state_of(probe).database)
    async with client_of(probe) as client:
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Connection, method, wait)
            assert_problem(await client.get("/api/v1/users/404", headers=admin), 503)
        assert_problem(await client.get("/api/v1/users/404", headers=admin), 404)
    await state_of(probe).database.close()


LOG_IN = {
    "url": "/api/v1/auth/token",
    "data": {"grant_type": "password", "username": ADA["email"], "password": ADA["password"]},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "waits"),
    [
        (LOG_IN, "app.core.accounts.auth.service.verify_password"),
        ({"url": "/api/v1/users", "json": ADA}, "app.core.accounts.service.hash_password"),
    ],
)
async def test_password_hashing_holds_no_connection(
    committing_app: FastAPI, settings: Settings, monkeypatch: pytest.MonkeyPatch, sent: dict[str, Any], waits: str
) -> None:
    hashing, go_on = threading.Event(), threading.Event()

    def hash_slowly(*_: object) -> str:
        hashing.set()
        return "hash" if go_on.wait(30) and sent is not LOG_IN else ""

    monkeypatch.setattr(waits, hash_slowly)
    state_of(committing_app).database = Database.connect(settings.model_copy(update={"database_pool_size": 1}))
    async with client_of(committing_app) as client:
        waiting = asyncio.create_task(client.post(**sent))
        assert await asyncio.to_thread(hashing.wait, 30)
        try:
            answer = await client.post(
                "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": "x" * 43}
            )
            assert answer.status_code == 400, "the only connection of the pool is free"
        finally:
            go_on.set()
        assert (await waiting).status_code == (400 if sent is LOG_IN else 201)

"""The transaction of a request, and errors of the database."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from psycopg_pool import ConnectionPool

from app.core.accounts.models import User
from app.core.accounts.service import UserService
from app.core.config import ConfigError, Settings
from app.core.database.pool import database
from app.core.database.repository import BaseRepository
from app.core.problems import Unprocessable
from app.core.testing import Execute, Headers, UserFactory, assert_problem
from tests.core.engine import connected_by

ADA = {"name": "Ada", "email": "ada@example.com", "password": "engine no. 1"}

Replace = Callable[[Callable[..., Any]], None]


@pytest.fixture
def replace(monkeypatch: pytest.MonkeyPatch) -> Replace:
    return lambda function: monkeypatch.setattr(UserService, "create", function)


class Users(BaseRepository[User]):
    model = User


async def test_null_for_required_column_is_unprocessable(user_factory: UserFactory) -> None:
    user = await user_factory()
    with pytest.raises(Unprocessable) as refused:
        Users().update(user, {"name": None, "email": None})
    assert [error.pointer for error in refused.value.errors] == ["/body/name"]
    assert user.name


@sync_to_async
def users_named(name: str) -> int:
    return User.objects.filter(name=name).count()


async def test_error_rolls_back_and_hides_details(async_client: httpx2.AsyncClient, replace: Replace) -> None:
    def fail_after_write(*_: Any) -> None:
        User.objects.create(name="Lost", email="lost@example.com")
        raise RuntimeError("secret of the server")

    replace(fail_after_write)
    response = await async_client.post("/api/v1/users", json=ADA)
    assert_problem(response, 500)
    assert "secret" not in response.text
    assert response.headers["x-frame-options"] == "DENY"
    assert await users_named("Lost") == 0


@pytest.mark.slow
def test_failed_commit_is_500(committing_client: httpx2.Client) -> None:
    # A deferred constraint fails at the commit, after the view has returned.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users ADD CONSTRAINT probe UNIQUE (name) DEFERRABLE INITIALLY DEFERRED")
    try:
        assert committing_client.post("/api/v1/users", json=ADA).status_code == 201
        assert_problem(committing_client.post("/api/v1/users", json=ADA | {"email": "other@example.com"}), 500)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE users DROP CONSTRAINT probe")


async def test_request_commits_its_transaction(async_client: httpx2.AsyncClient) -> None:
    assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 201
    assert await users_named("Ada") == 1


async def test_refused_request_keeps_session_usable(
    async_client: httpx2.AsyncClient, user_factory: UserFactory
) -> None:
    await user_factory(email="ada@example.com")
    assert_problem(await async_client.post("/api/v1/users", json=ADA), 409)
    assert await users_named("Ada") == 0


def post_concurrently(client: httpx2.Client, *bodies: dict[str, Any]) -> list[httpx2.Response]:
    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(lambda body: client.post("/api/v1/users", json=body), bodies))


@pytest.mark.slow
def test_each_request_has_its_own_session(committing_client: httpx2.Client) -> None:
    responses = post_concurrently(committing_client, *(ADA | {"email": f"{number}@example.com"} for number in range(8)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 8


@pytest.mark.slow
def test_concurrent_registration_creates_one_user(committing_client: httpx2.Client) -> None:
    responses = post_concurrently(committing_client, *([ADA] * 4))
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]


@pytest.fixture
def other_database(settings: Settings) -> Iterator[Callable[..., None]]:
    """Connect with other settings: `other_database(database_pool_size=1)`."""
    with ExitStack() as until_the_end:
        yield lambda **changes: until_the_end.enter_context(connected_by(settings.model_copy(update=changes)))


LOG_IN = {
    "url": "/api/v1/auth/token",
    "data": {"grant_type": "password", "username": ADA["email"], "password": ADA["password"]},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "waits"),
    [
        (LOG_IN, "app.core.accounts.auth.service.verify_password"),
        ({"url": "/api/v1/users", "json": ADA}, "app.core.accounts.routes.make_password"),
    ],
)
def test_password_hashing_holds_no_connection(
    committing_client: httpx2.Client,
    other_database: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    sent: dict[str, Any],
    waits: str,
) -> None:
    hashing, go_on = Event(), Event()

    def hash_slowly(*_: object) -> str:
        hashing.set()
        return "hash" if go_on.wait(30) and sent is not LOG_IN else ""

    monkeypatch.setattr(waits, hash_slowly)
    other_database(database_pool_size=1)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(committing_client.post, **sent)
        assert hashing.wait(30)
        try:
            answer = committing_client.post(
                "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": "x" * 43}
            )
            assert answer.status_code == 400, "the only connection of the pool is free"
        finally:
            go_on.set()
        assert waiting.result().status_code == (400 if sent is LOG_IN else 201)


@pytest.mark.slow
def test_unreachable_database_is_503(
    committing_client: httpx2.Client, other_database: Callable[..., None], admin_token: Headers
) -> None:
    other_database(database_url="postgresql://unknown@127.0.0.1:9/nothing", database_timeout_seconds=0.2)
    response = committing_client.get("/api/v1/users/1", headers=admin_token)
    assert_problem(response, 503)
    assert response.headers["retry-after"] == "1"
    assert_problem(committing_client.get("/api/v1/users/export", headers=admin_token), 503)
    assert_problem(committing_client.get("/health/ready"), 503)
    assert committing_client.get("/health/live").status_code == 200


@pytest.mark.slow
def test_closed_connection_is_replaced(
    committing_client: httpx2.Client, other_database: Callable[..., None], execute: Execute, admin_token: Headers
) -> None:
    other_database(database_pool_size=8)
    pool: ConnectionPool = connection.pool  # type: ignore[attr-defined]
    pool.open()
    pool.resize(8)
    pool.wait()
    name = connection.settings_dict["NAME"]
    assert any(execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"))
    assert committing_client.get("/api/v1/users", headers=admin_token).status_code == 200


def sleep(*_: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(10)")


@pytest.mark.slow
def test_slow_statement_is_503(
    committing_client: httpx2.Client, other_database: Callable[..., None], replace: Replace
) -> None:
    other_database(database_timeout_seconds=0.1)
    replace(sleep)
    assert_problem(committing_client.post("/api/v1/users", json=ADA), 503)


@pytest.mark.slow
def test_exhausted_pool_is_503(
    committing_client: httpx2.Client, other_database: Callable[..., None], replace: Replace
) -> None:
    other_database(database_pool_size=1, database_timeout_seconds=0.2)
    replace(sleep)
    started = time.monotonic()
    responses = post_concurrently(committing_client, *([ADA] * 3))
    assert {response.status_code for response in responses} == {503}
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:5433/d", {"NAME": "d", "USER": "u", "PASSWORD": "p", "HOST": "h", "PORT": "5433"}),
        ("postgres://u@h/d?sslmode=require", {"NAME": "d", "USER": "u", "PASSWORD": "", "HOST": "h", "PORT": ""}),
        ("postgresql://u@h", {"NAME": "u", "USER": "u"}),
    ],
)
def test_url_is_translated_for_django(url: str, expected: dict[str, str]) -> None:
    given = database(Settings(database_url=url))
    assert {name: given[name] for name in expected} == expected
    assert given["OPTIONS"].get("sslmode") == ("require" if "sslmode" in url else None)


@pytest.mark.parametrize(("environment", "limit"), [("development", "0"), ("test", "10s")])
def test_breakpoint_in_a_transaction_has_no_time_limit(
    other_database: Callable[..., None], environment: str, limit: str
) -> None:
    other_database(environment=environment)
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == (limit,)


def test_invalid_database_url_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r'^DATABASE_URL is invalid: invalid URI query parameter: "patience"$'):
        database(Settings(database_url="postgresql://u:hunter2@h/d?patience=10"))


@pytest.mark.slow
def test_readiness_needs_no_connection_of_the_pool(
    committing_client: httpx2.Client, other_database: Callable[..., None]
) -> None:
    other_database(database_pool_size=1, database_timeout_seconds=0.2)
    pool = connection.pool  # type: ignore[attr-defined]
    pool.open()
    with pool.connection():
        refresh = {"refresh_token": "x" * 43}
        assert_problem(
            committing_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | refresh), 503
        )
        assert committing_client.get("/health/ready").status_code == 200

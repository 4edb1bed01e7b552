"""The repository of users, and the columns of stored users."""

from contextlib import aclosing
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from pydantic import Secret
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.accounts.access import change_account, log_in
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import ProvidedUser
from app.core.accounts.service import UserService
from app.core.database.repository import Repository
from app.core.database.sessions import WriteSession
from app.core.http.limits.rates import RateLimits
from app.core.http.state import state_of
from app.core.problems import TooManyRequests, Unprocessable
from app.core.testing import PASSWORD, Listen, UserFactory, assert_problem


def test_user_repository_is_a_repository(db_session: WriteSession) -> None:
    repository: Repository[User] = UserRepository(db_session)
    assert isinstance(repository, Repository)
    assert not isinstance(object(), Repository)


async def test_get_create_update_delete(db_session: WriteSession) -> None:
    users = UserRepository(db_session)
    created = await users.create({"name": "Ada", "email": "ada@example.com"})
    assert await users.get(created.id) is created
    await users.update(created, {"name": "Countess"})
    await db_session.refresh(created)
    assert created.name == "Countess"
    assert await users.delete(created.id) is True
    assert await users.delete(created.id) is False
    db_session.expire_all()
    assert await users.get(created.id) is None


async def test_stream_uses_a_server_side_cursor(db_session: AsyncSession, user_factory: UserFactory) -> None:
    for number in range(3):
        await user_factory(name=f"User {number}")
    async with aclosing(UserRepository(db_session).stream()) as users:
        assert (await anext(users)).name == "User 0"
        cursors = text("SELECT count(*) FROM pg_cursors WHERE statement LIKE 'SELECT users.%'")
        assert await db_session.scalar(cursors) == 1
        assert [user.name async for user in users] == ["User 1", "User 2"]


async def test_object_is_usable_after_commit(db_session: AsyncSession, user_factory: UserFactory) -> None:
    user = await user_factory(name="Ada")
    await db_session.close()
    assert user.name == "Ada"  # a DetachedInstanceError, if the commit expired objects


async def test_password_is_stored_as_argon2id(async_client: httpx2.AsyncClient, db_session: AsyncSession) -> None:
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    assert (await async_client.post("/api/v1/users", json=ada)).status_code == 201
    stored = await db_session.scalar(select(User.password))
    assert stored
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


def error_of_slice(_user: User) -> None:
    raise IntegrityError("INSERT INTO notes", None, Exception("a constraint of the slice"))


async def test_integrity_error_of_listener_is_500(async_client: httpx2.AsyncClient, listen: Listen) -> None:
    listen("registered", error_of_slice)
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    assert_problem(await async_client.post("/api/v1/users", json=ada), 500)


async def test_error_of_listener_does_not_drop_the_address(db_session: WriteSession, listen: Listen) -> None:
    addresses = []
    listen("registered", lambda user: addresses.append(user.email))
    listen("registered", error_of_slice)
    provided = ProvidedUser(issuer="https://id.example", subject="ada", name="Ada", email="ada@example.com")
    with pytest.raises(IntegrityError, match="of the slice"):
        await UserService(db_session).enter(provided)
    assert addresses == ["ada@example.com"], "no second attempt without the address"


def request_of(app: FastAPI, **changes: Any) -> Request:
    """Return a request to the application with these settings."""
    settings = state_of(app).settings.model_copy(update=changes)
    state_of(app).settings, state_of(app).rate_limits = settings, RateLimits(settings)
    return Request({"type": "http", "app": app, "headers": [], "client": ("127.0.0.1", 1)})


async def test_change_of_account_keeps_the_rules(
    app: FastAPI, db_session: WriteSession, user_factory: UserFactory
) -> None:
    user = await user_factory()
    for change in ({"password": Secret("a")}, {"email": "nope"}):
        with pytest.raises(Unprocessable):
            await change_account(request_of(app), db_session, user, **change)


async def test_change_of_account_verifies_the_address(
    app: FastAPI, db_session: WriteSession, user_factory: UserFactory, messages: list[EmailMessage]
) -> None:
    user = await user_factory(email="ada@example.com")
    messages.clear()  # of listeners
    request = request_of(app, verify_email=True, email_address_rate="1/hour")
    await change_account(request, db_session, user, email="lovelace@example.com")
    await db_session.refresh(user)
    assert user.email == "ada@example.com"
    assert [str(message["To"]) for message in messages] == ["lovelace@example.com"]
    with pytest.raises(TooManyRequests):
        await change_account(request, db_session, user, email="countess@example.com")


async def test_change_of_account_changes_the_address(
    app: FastAPI, db_session: WriteSession, user_factory: UserFactory
) -> None:
    user = await user_factory(email="ada@example.com")
    await change_account(request_of(app), db_session, user, email="Lovelace@EXAMPLE.com")
    await db_session.refresh(user)
    assert user.email == "Lovelace@example.com"


async def test_log_in_of_a_slice_counts_one_account(
    app: FastAPI, db_session: WriteSession, user_factory: UserFactory
) -> None:
    await user_factory(email="ada@bücher.example")
    request = request_of(app, login_rate="2/minute")
    for email in ("ADA@bücher.example", " ada@xn--bcher-kva.example "):
        await log_in(request, db_session, email=email, password=Secret(PASSWORD))
    with pytest.raises(TooManyRequests):
        await log_in(request, db_session, email="ada@\uff42ücher.example", password=Secret(PASSWORD))

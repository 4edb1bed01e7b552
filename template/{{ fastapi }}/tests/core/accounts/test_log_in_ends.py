"""The end of sessions: expiry, deleted users, changed accounts and token reuse."""

import asyncio
from collections.abc import Callable, Coroutine

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.accounts.auth.models import UserSession
from app.core.accounts.auth.schemas import Origin
from app.core.accounts.auth.service import AuthService
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.service import UserService
from app.core.config import Settings
from app.core.database.sessions import WriteSession
from app.core.http.state import State, state_of
from app.core.security.bearer import ADMIN
from app.core.security.tokens import LocalTokens, Revocations
from app.core.testing import PASSWORD, Rows, UserFactory, assert_problem


async def test_refresh_does_not_extend_the_session(
    async_client: httpx2.AsyncClient, db_session: AsyncSession, user_factory: UserFactory
) -> None:
    await user_factory(email="ada@example.com")
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/api/v1/auth/token", data=form)).json()
    ends = {await db_session.scalar(select(UserSession.expires_at))}
    for _ in range(2):
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = (await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body)).json()
        ends.add(await db_session.scalar(select(UserSession.expires_at)))
    assert len(ends) == 1


async def test_deleting_a_user_ends_sessions(
    async_client: httpx2.AsyncClient,
    db_session: AsyncSession,
    user_factory: UserFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = await user_factory(email="ada@example.com")
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/api/v1/auth/token", data=form)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    monkeypatch.setattr(Revocations, "SECONDS", 0)
    assert (await async_client.get("/api/v1/auth/sessions", headers=headers)).status_code == 200
    await db_session.delete(user)
    await db_session.commit()
    assert_problem(await async_client.get("/api/v1/auth/sessions", headers=headers), 401)
    assert_problem(
        await async_client.post(
            "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        ),
        400,
    )


@pytest.mark.parametrize("change", ["is_active = false", "password = 'another'"])
async def test_account_change_during_log_in_gives_no_token(
    db_session: WriteSession, user_factory: UserFactory, settings: Settings, rows: Rows, change: str
) -> None:
    user_id = (await user_factory()).id
    user = await UserRepository(db_session).get_with_roles(user_id)
    await rows(f"UPDATE users SET {change} RETURNING id")
    assert user
    assert await AuthService(db_session, LocalTokens(settings), 30).log_in(user, Origin()) is None


async def use_again(client: httpx2.AsyncClient, _state: State, used: str) -> None:
    assert_problem(
        await client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": used}), 400
    )


async def deactivate(_client: httpx2.AsyncClient, state: State, _used: str) -> None:
    async with state.database.sessions.begin() as session:
        service = UserService(session)
        user = await service.users.get_by_email("ada@example.com")
        assert user
        await service.deactivate(user)


@pytest.mark.slow
@pytest.mark.parametrize("end", [use_again, deactivate])
async def test_ending_sessions_revokes_concurrent_refresh(
    committing_app: FastAPI, end: Callable[[httpx2.AsyncClient, State, str], Coroutine[None, None, None]]
) -> None:
    state = state_of(committing_app)
    transport = httpx2.ASGITransport(committing_app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client, asyncio.timeout(30):

        async def refresh(token: str) -> httpx2.Response:
            return await client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})

        await client.post("/api/v1/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        first = (await client.post("/api/v1/auth/token", data=form)).json()
        second = (await refresh(first["refresh_token"])).json()
        async with state.database.sessions.begin() as session:
            await session.execute(text("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute'"))
        async with state.database.sessions.begin() as session:
            third = await AuthService(session, LocalTokens(state.settings), 30).refresh(second["refresh_token"])
            await session.flush()
            ending = asyncio.create_task(end(client, state, first["refresh_token"]))
            waiting = text("SELECT count(*) FROM pg_locks, pg_sleep(0.01) WHERE NOT granted")
            while not await session.scalar(waiting):
                pass
        assert third
        await ending
        async with state.database.sessions.begin() as session:
            assert not await session.scalar(select(UserSession.id).where(UserSession.ended_at.is_(None)))
        assert_problem(await refresh(third.refresh_token), 400)


@pytest.mark.slow
async def test_all_concurrent_requests_wait_for_revocations(committing_app: FastAPI) -> None:
    state = state_of(committing_app)
    transport = httpx2.ASGITransport(committing_app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client, asyncio.timeout(30):
        await client.post("/api/v1/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        tokens = (await client.post("/api/v1/auth/token", data=form)).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/api/v1/auth/sessions", headers=headers)).status_code == 200
        async with state.database.sessions.begin() as session:
            await session.execute(text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"))
            await session.execute(update(User).values(revoked_at=text("clock_timestamp()")))
            state.revocations.expire()
            asked = [asyncio.create_task(client.get("/api/v1/auth/sessions", headers=headers)) for _ in range(5)]
            waiting = text("SELECT count(*) FROM pg_locks, pg_sleep(0.1) WHERE NOT granted")
            while not (blocked := await session.scalar(waiting)):
                pass
            assert blocked == 1, "one request reads, and the others wait for it"
        assert [(await answer).status_code for answer in asked] == [401] * 5


@pytest.mark.slow
async def test_refresh_waits_for_concurrent_demotion(committing_app: FastAPI) -> None:
    state = state_of(committing_app)
    transport = httpx2.ASGITransport(committing_app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client, asyncio.timeout(30):
        await client.post("/api/v1/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        token = (await client.post("/api/v1/auth/token", data=form)).json()["refresh_token"]
        async with state.database.sessions.begin() as session:
            await session.execute(update(User).values(is_superuser=True))
        async with state.database.sessions.begin() as session:
            await session.execute(update(User).values(is_superuser=False))
            refreshing = asyncio.create_task(
                client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})
            )
            waiting = text("SELECT count(*) FROM pg_locks, pg_sleep(0.01) WHERE NOT granted")
            while not await session.scalar(waiting):
                pass
        issued = (await refreshing).json()["access_token"]
        assert ADMIN not in LocalTokens(state.settings).verify(issued).scopes

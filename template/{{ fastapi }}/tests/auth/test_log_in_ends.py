"""When a log-in ends."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import RefreshToken
from app.auth.service import AuthService
from support import PASSWORD, UserFactory, assert_problem


async def test_a_log_in_ends_however_often_it_is_refreshed(
    async_client: httpx2.AsyncClient, db_session: AsyncSession, user_factory: UserFactory
) -> None:
    await user_factory(email="ada@example.com")
    form = {"username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/auth/token", data=form)).json()
    for _ in range(2):
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = (await async_client.post("/auth/refresh", json=body)).json()
    ends = (await db_session.scalars(select(RefreshToken.expires_at))).all()
    assert len(ends) == 3
    assert len(set(ends)) == 1


async def test_with_a_user_its_log_ins_end(
    async_client: httpx2.AsyncClient, db_session: AsyncSession, user_factory: UserFactory
) -> None:
    user = await user_factory(email="ada@example.com")
    form = {"username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/auth/token", data=form)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await async_client.get("/users/me", headers=headers)).status_code == 200
    await db_session.delete(user)
    await db_session.commit()
    assert_problem(await async_client.get("/users/me", headers=headers), 401)
    assert_problem(await async_client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}), 401)


@pytest.mark.slow
async def test_a_token_used_again_ends_also_what_is_refreshed_just_now(committing_app: FastAPI) -> None:
    state = committing_app.state
    transport = httpx2.ASGITransport(committing_app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client, asyncio.timeout(30):

        async def refresh(token: str) -> httpx2.Response:
            return await client.post("/auth/refresh", json={"refresh_token": token})

        await client.post("/users", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
        first = (await client.post("/auth/token", data={"username": "ada@example.com", "password": PASSWORD})).json()
        second = (await refresh(first["refresh_token"])).json()
        async with state.database.sessions.begin() as session:
            third = await AuthService(session, state.tokens, 30).refresh(second["refresh_token"])
            await session.flush()
            again = asyncio.create_task(refresh(first["refresh_token"]))
            waiting = text("SELECT count(*) FROM pg_locks, pg_sleep(0.01) WHERE NOT granted")
            while not await session.scalar(waiting):
                pass
        assert third
        assert_problem(await again, 401)
        assert_problem(await refresh(third.refresh_token), 401)

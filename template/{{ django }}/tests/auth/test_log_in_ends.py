"""When a log-in ends."""

import httpx2

from app.auth.models import RefreshToken
from support import PASSWORD, UserFactory, assert_problem


async def test_a_log_in_ends_however_often_it_is_refreshed(
    async_client: httpx2.AsyncClient, user_factory: UserFactory
) -> None:
    await user_factory(email="ada@example.com")
    form = {"username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/auth/token", data=form)).json()
    for _ in range(2):
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = (await async_client.post("/auth/refresh", json=body)).json()
    ends = [ends async for ends in RefreshToken.objects.values_list("expires_at", flat=True)]
    assert len(ends) == 3
    assert len(set(ends)) == 1


async def test_with_a_user_its_log_ins_end(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    user = await user_factory(email="ada@example.com")
    form = {"username": "ada@example.com", "password": PASSWORD}
    tokens = (await async_client.post("/auth/token", data=form)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await async_client.get("/users/me", headers=headers)).status_code == 200
    await user.adelete()
    assert_problem(await async_client.get("/users/me", headers=headers), 401)
    assert_problem(await async_client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}), 401)

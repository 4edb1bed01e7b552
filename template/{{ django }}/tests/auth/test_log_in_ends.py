"""How long a log-in lasts."""

import httpx2

from app.auth.models import RefreshToken
from support import PASSWORD, UserFactory


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

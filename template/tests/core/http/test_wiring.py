"""Authentication and rate limits of the whole service."""

import httpx2
import pytest

from app.core.testing import MakeClient, UserFactory, assert_problem


@pytest.mark.slow
async def test_every_protected_route_without_token_is_401(async_client: httpx2.AsyncClient) -> None:
    document = (await async_client.get("/openapi.json")).json()
    guarded = [
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if all({"token", "key"} & scheme.keys() for scheme in operation.get("security", [{}]))
    ]
    assert ("get", "/api/v1/users/me") in guarded
    for method, path in guarded:
        assert_problem(await async_client.request(method, path.replace("{", "").replace("}", "")), 401)


@pytest.mark.slow
async def test_rate_limits_hold_while_redis_is_down(make_client: MakeClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    form = {"grant_type": "password", "username": "ada@example.com", "password": "wrong password"}
    async with make_client(redis_url="redis://127.0.0.1:9", login_rate="1/minute") as client:
        assert_problem(await client.post("/api/v1/auth/token", data=form), 400)
        assert_problem(await client.post("/api/v1/auth/token", data=form), 429)

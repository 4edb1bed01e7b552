"""Whom the tokens of an identity provider stand for."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.problems import Unauthorized
from app.security import Principal, TokenVerifier
from support import UserFactory, assert_problem

CLAIMS = {"email": "ada@example.com", "email_verified": True, "name": "Ada"}
Provider = Callable[..., None]


@pytest.fixture
def provider(trust: Callable[[TokenVerifier], None]) -> Provider:
    """Make the application trust a provider that says `claims` of whoever sends the token `good`."""

    def provider(**claims: Any) -> None:
        class Tokens:
            def may_wait(self, token: str) -> bool:
                return True

            def verify(self, token: str) -> Principal:
                if token != "good":
                    raise Unauthorized
                return Principal("provider|ada", frozenset(), claims)

        trust(Tokens())

    return provider


async def me(client: httpx2.AsyncClient, token: str = "good") -> httpx2.Response:
    return await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})


async def test_a_user_is_entered_when_first_seen(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider(**CLAIMS)
    first, second = (await me(async_client)).json(), (await me(async_client)).json()
    assert (first["name"], first["email"]) == ("Ada", "ada@example.com")
    assert second == first


async def test_a_user_without_a_name_is_called_by_its_address(
    async_client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider(**(CLAIMS | {"name": None}))
    assert (await me(async_client)).json()["name"] == "ada@example.com"


@pytest.mark.parametrize("claims", [{}, CLAIMS | {"email_verified": False}, CLAIMS | {"email": "nobody"}])
async def test_nobody_is_entered_without_a_verified_address(
    async_client: httpx2.AsyncClient, provider: Provider, claims: dict[str, Any]
) -> None:
    provider(**claims)
    assert_problem(await me(async_client), 403)


async def test_an_account_is_never_taken_over(
    async_client: httpx2.AsyncClient, provider: Provider, user_factory: UserFactory
) -> None:
    await user_factory(email="Ada@example.com")
    provider(**CLAIMS)
    assert_problem(await me(async_client), 403)


async def test_other_tokens_are_refused(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider(**CLAIMS)
    assert_problem(await me(async_client, "bad"), 401)

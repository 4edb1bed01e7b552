"""Users of an identity provider: tokens, claims and accounts."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.core.security.bearer import ADMIN
from app.core.testing import IDENTITY_PROVIDER, Listen, UserFactory, assert_problem

CLAIMS = {"email": "ada@example.com", "email_verified": True, "name": "Ada"}
Provider = Callable[..., None]


async def me(client: httpx2.AsyncClient, token: str = "good") -> httpx2.Response:
    return await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})


async def test_first_request_creates_user(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider(**CLAIMS)
    first, second = (await me(async_client)).json(), (await me(async_client)).json()
    assert (first["name"], first["email"]) == ("Ada", "ada@example.com")
    assert second == first


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": None}, ("", "ada@example.com")),
        ({"name": "a\x00b"}, ("", "ada@example.com")),
        ({"name": ["Ada"]}, ("", "ada@example.com")),
        ({"email_verified": False}, ("Ada", None)),
        ({"email_verified": "true"}, ("Ada", None)),
        ({"email": "invalid"}, ("Ada", None)),
        ({"email": None}, ("Ada", None)),
        ({"email": {"a": 1}}, ("Ada", None)),
    ],
)
async def test_invalid_claim_is_ignored(
    async_client: httpx2.AsyncClient, provider: Provider, changes: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    provider(**(CLAIMS | changes))
    user = (await me(async_client)).json()
    assert (user["name"], user["email"]) == expected


async def test_token_without_claims_creates_user(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider()
    first, second = await me(async_client), await me(async_client)
    assert (first.status_code, first.json()["id"]) == (200, second.json()["id"])


@pytest.mark.slow
async def test_concurrent_first_requests_create_one_user(
    committing_async_client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider(**CLAIMS)
    responses = await asyncio.gather(*(me(committing_async_client) for _ in range(3)))
    assert [response.status_code for response in responses] == [200] * 3
    assert len({response.json()["id"] for response in responses}) == 1


@pytest.mark.slow
async def test_new_user_stays_after_failed_write(
    committing_async_client: httpx2.AsyncClient,
    provider: Provider,
    listen: Listen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created: list[str] = []
    listen("registered", lambda user: created.append(user.email))

    def fail(*_: object) -> None:
        raise RuntimeError("after the token was verified")

    provider(**CLAIMS)
    monkeypatch.setattr("app.core.accounts.service.UserService.change", fail)
    headers = {"Authorization": "Bearer good"}
    assert_problem(await committing_async_client.patch("/api/v1/users/me", json={"name": "Eve"}, headers=headers), 500)
    assert (await me(committing_async_client)).status_code == 200
    assert created == ["ada@example.com"], "the second request does not create the user again"


async def test_same_subject_of_two_issuers_is_two_users(
    async_client: httpx2.AsyncClient, provider: Provider, user_factory: UserFactory
) -> None:
    other = await user_factory(issuer="https://other.example", subject="provider|ada")
    provider(**CLAIMS)
    assert (await me(async_client)).json()["id"] != other.id


async def test_inactive_user_is_401(
    async_client: httpx2.AsyncClient, provider: Provider, user_factory: UserFactory
) -> None:
    issuer = IDENTITY_PROVIDER["jwt_issuer"]
    await user_factory(password=None, issuer=issuer, subject="provider|ada", is_active=False)
    provider(ADMIN, **CLAIMS)
    assert_problem(await me(async_client), 401)
    assert_problem(await async_client.get("/api/v1/users", headers={"Authorization": "Bearer good"}), 401)


async def test_machine_token_with_scope_is_accepted(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider(ADMIN)
    users = await async_client.get("/api/v1/users", headers={"Authorization": "Bearer good"})
    assert (users.status_code, users.json()["items"]) == (200, [])


async def test_provider_token_without_scope_is_403(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider("read", **CLAIMS)
    assert_problem(await async_client.get("/api/v1/users", headers={"Authorization": "Bearer good"}), 403)
    assert (await me(async_client)).status_code == 200


async def test_provider_user_never_takes_over_local_account(
    async_client: httpx2.AsyncClient, provider: Provider, user_factory: UserFactory
) -> None:
    local = await user_factory(email="Ada@example.com")
    provider(**CLAIMS)
    user = (await me(async_client)).json()
    assert (user["name"], user["email"]) == ("Ada", None)
    assert user["id"] != local.id


async def test_invalid_provider_token_is_401(async_client: httpx2.AsyncClient, provider: Provider) -> None:
    provider(**CLAIMS)
    assert_problem(await me(async_client, "bad"), 401)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_provider_users_have_no_sessions(
    async_client: httpx2.AsyncClient, provider: Provider, method: str
) -> None:
    provider(**CLAIMS, sid="a session of the provider")
    headers = {"Authorization": "Bearer good"}
    assert_problem(await async_client.request(method, "/api/v1/auth/sessions", headers=headers), 404)

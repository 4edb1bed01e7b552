"""API keys in the admin."""

from typing import Any

import httpx2
import pytest

from app.core.accounts.auth.models import ApiKey
from app.core.testing import SignIn, UserFactory
from tests.core.accounts.browser import log_in, submit

KEYS = "/admin/core_accounts/apikey/"


@pytest.fixture
async def key(async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn) -> dict[str, Any]:
    """A key of another user. `async_client` is logged in as a superuser."""
    ada = await user_factory(email="ada@example.com")
    response = await async_client.post("/api/v1/api-keys", json={"name": "backup"}, headers=sign_in(ada))
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    await log_in(async_client, "root@example.com")
    created: dict[str, Any] = response.json()
    return created


async def test_keys_are_listed_without_digest(async_client: httpx2.AsyncClient, key: dict[str, Any]) -> None:
    stored = await ApiKey.objects.aget()
    for path in (KEYS, f"{KEYS}{key['id']}/change/"):
        page = await async_client.get(path)
        assert page.status_code == 200
        assert "backup" in page.text
        assert stored.digest not in page.text
    assert (await async_client.get(f"{KEYS}add/")).status_code == 403


async def test_deleted_key_is_401(async_client: httpx2.AsyncClient, key: dict[str, Any]) -> None:
    assert (await submit(async_client, f"{KEYS}{key['id']}/delete/", post="yes")).status_code == 302
    headers = {"Authorization": f"Bearer {key['key']}"}
    async_client.cookies.clear()
    assert (await async_client.get("/api/v1/users/me", headers=headers)).status_code == 401

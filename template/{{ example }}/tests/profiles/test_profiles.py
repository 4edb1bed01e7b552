"""HTTP tests of `/api/v1/users/me/profile`, and export and erasure of profiles."""

from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from app.core.testing import Accounts, Rows, SignIn, UserFactory, assert_problem, pointers

URL = "/api/v1/users/me/profile"
PROFILE = {"display_name": "Ada", "phone": "+442079460000", "locale": "en-GB", "time_zone": "Europe/London"}


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory()


@pytest.fixture
def client(async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> httpx2.AsyncClient:
    async_client.headers.update(sign_in(ada))
    return async_client


async def test_put_creates_then_replaces_profile(client: httpx2.AsyncClient) -> None:
    made = await client.put(URL, json=PROFILE)
    assert made.status_code == 201
    assert PROFILE.items() <= made.json().items()
    replaced = await client.put(URL, json={"locale": "fr"})
    assert (replaced.status_code, replaced.json()) == (200, dict.fromkeys(made.json()) | {"locale": "fr"})
    assert (await client.get(URL)).json() == replaced.json()


async def test_deactivated_user_cannot_replace_profile(client: httpx2.AsyncClient, rows: Rows) -> None:
    await rows("UPDATE users SET is_active = false RETURNING id")
    assert_problem(await client.put(URL, json=PROFILE), 401)
    assert await rows("SELECT * FROM profiles") == []


async def test_patch_changes_only_named_fields(client: httpx2.AsyncClient) -> None:
    made = await client.put(URL, json=PROFILE)
    changed = await client.patch(URL, json={"display_name": "Countess", "phone": None})
    assert changed.json() == made.json() | {"display_name": "Countess", "phone": None}
    assert (await client.get(URL)).json() == changed.json()
    assert (await client.patch(URL, json={})).json() == changed.json()


async def test_merge_patch_media_type_is_accepted(client: httpx2.AsyncClient) -> None:
    await client.put(URL, json=PROFILE)
    headers = {"Content-Type": "application/merge-patch+json"}
    changed = await client.patch(URL, content=b'{"phone": null}', headers=headers)
    assert (changed.status_code, changed.json()["phone"]) == (200, None)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_change_of_a_stale_profile_is_412(client: httpx2.AsyncClient, method: str) -> None:
    stale = (await client.put(URL, json=PROFILE)).headers["etag"]
    fresh = (await client.patch(URL, json={"locale": "fr"})).headers["etag"]
    assert fresh == (await client.get(URL)).headers["etag"] != stale
    body = PROFILE | {"locale": "de"}
    assert_problem(await client.request(method, URL, json=body, headers={"If-Match": stale}), 412)
    assert (await client.get(URL)).json()["locale"] == "fr"
    changed = await client.request(method, URL, json=body, headers={"If-Match": f'"x", {fresh}'})
    assert (changed.status_code, changed.json()["locale"]) == (200, "de")


async def test_put_of_a_new_profile_fails_if_match(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.put(URL, json=PROFILE, headers={"If-Match": "*"}), 412)
    assert_problem(await client.get(URL), 404)


async def test_missing_profile_is_404(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get(URL), 404)
    assert_problem(await client.patch(URL, json={"locale": "en"}), 404)


async def test_put_by_deleted_user_is_401(async_client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    headers = sign_in(SimpleNamespace(id=999_999, is_superuser=False))
    assert_problem(await async_client.put(URL, json=PROFILE, headers=headers), 401)


async def test_profile_belongs_to_one_user(
    client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
) -> None:
    await client.put(URL, json=PROFILE)
    assert_problem(await client.get(URL, headers=sign_in(await user_factory())), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_profile_without_token_is_401(async_client: httpx2.AsyncClient, method: str) -> None:
    assert_problem(await async_client.request(method, URL, json=None if method == "GET" else {}), 401)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", ""),
        ("phone", "030 12345678"),
        ("phone", "+49 30 12345678"),
        ("locale", "english"),
        ("locale", "de_CH"),
        ("time_zone", "Berlin"),
        ("time_zone", "../../etc/passwd"),
        ("user_id", 1),
    ],
)
async def test_invalid_field_is_422(client: httpx2.AsyncClient, field: str, value: object) -> None:
    for method in ("PUT", "PATCH"):
        assert pointers(await client.request(method, URL, json={field: value})) == {f"/body/{field}"}


async def test_profile_is_exported(client: httpx2.AsyncClient, ada: Any, accounts: Accounts) -> None:
    assert (await accounts.export(ada))["profiles"] is None
    made = await client.put(URL, json=PROFILE)
    assert (await accounts.export(ada))["profiles"] == made.json()


async def test_profile_of_erased_user_is_deleted(client: httpx2.AsyncClient, ada: Any, accounts: Accounts) -> None:
    await client.put(URL, json=PROFILE)
    await accounts.erase(ada)
    assert_problem(await client.get(URL), 404)

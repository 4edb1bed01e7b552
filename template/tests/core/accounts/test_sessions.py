"""HTTP tests of `/api/v1/auth/sessions`."""

from typing import Any

import httpx2
import pytest

from app.core.testing import (
    PASSWORD,
    Accounts,
    Headers,
    Rows,
    SignIn,
    UserFactory,
    assert_problem,
    pointers,
)

URL = "/api/v1/auth/sessions"
EMAIL = "ada@example.com"


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email=EMAIL)


async def log_in(client: httpx2.AsyncClient, email: str = EMAIL, agent: str = "tests/1") -> dict[str, Any]:
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    headers = {b"User-Agent": agent.encode("latin-1")}
    tokens: dict[str, Any] = (await client.post("/api/v1/auth/token", data=form, headers=headers)).json()
    return tokens


async def refresh(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return await client.post("/api/v1/auth/token", data=form)


def bearer(tokens: dict[str, Any]) -> Headers:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


class TestList:
    async def test_sessions_of_the_caller(
        self, async_client: httpx2.AsyncClient, ada: Any, user_factory: UserFactory
    ) -> None:
        await user_factory(email="grace@example.com")
        await log_in(async_client, "grace@example.com")
        await log_in(async_client, agent="phone")
        tokens = await log_in(async_client, agent="laptop")
        page = (await async_client.get(URL, params={"sort": "-id"}, headers=bearer(tokens))).json()
        assert (page["total"], [found["user_agent"] for found in page["items"]]) == (2, ["laptop", "phone"])
        assert [found["is_current"] for found in page["items"]] == [True, False]
        assert page["items"][0]["address"] == "127.0.0.1"
        assert page["items"][0].keys() == {
            "id",
            "created_at",
            "last_used_at",
            "expires_at",
            "address",
            "user_agent",
            "is_current",
        }

    async def test_refresh_updates_the_last_use(self, async_client: httpx2.AsyncClient, ada: Any, rows: Rows) -> None:
        tokens = await log_in(async_client)
        await rows("UPDATE user_sessions SET last_used_at = last_used_at - interval '1 hour' RETURNING id")
        [before] = (await async_client.get(URL, headers=bearer(tokens))).json()["items"]
        tokens = (await refresh(async_client, tokens)).json()
        [after] = (await async_client.get(URL, headers=bearer(tokens))).json()["items"]
        assert after["last_used_at"] > before["last_used_at"]
        assert (after["id"], after["created_at"], after["is_current"]) == (before["id"], before["created_at"], True)

    async def test_ended_and_expired_sessions_are_missing(
        self, async_client: httpx2.AsyncClient, ada: Any, rows: Rows, sign_in: SignIn
    ) -> None:
        tokens = await log_in(async_client)
        await async_client.post("/api/v1/auth/revoke", data={"token": tokens["refresh_token"]})
        await log_in(async_client)
        await rows("UPDATE user_sessions SET expires_at = now() RETURNING id")
        assert (await async_client.get(URL, headers=sign_in(ada))).json()["items"] == []

    async def test_hostile_user_agent_is_cut(self, async_client: httpx2.AsyncClient, ada: Any) -> None:
        tokens = await log_in(async_client, agent="a\x7f\x80\u00ad<b>" + "x" * 1000)
        [found] = (await async_client.get(URL, headers=bearer(tokens))).json()["items"]
        assert found["user_agent"].endswith("<b>" + "x" * (200 - found["user_agent"].index("x")))
        assert found["user_agent"].isprintable()
        assert len(found["user_agent"]) == 200

    async def test_unknown_sort_field_is_422(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        assert pointers(await async_client.get(URL, params={"sort": "digest"}, headers=admin)) == {"/query/sort"}


class TestEnd:
    async def test_one_session_ends_with_its_tokens(self, async_client: httpx2.AsyncClient, ada: Any) -> None:
        lost, kept = await log_in(async_client), await log_in(async_client)
        listed = (await async_client.get(URL, headers=bearer(kept))).json()["items"]
        [other] = [found["id"] for found in listed if not found["is_current"]]
        ended = await async_client.delete(f"{URL}/{other}", headers=bearer(kept))
        assert (ended.status_code, ended.content) == (204, b"")
        assert_problem(await async_client.get("/api/v1/users/me", headers=bearer(lost)), 401)
        assert_problem(await refresh(async_client, lost), 400)
        assert_problem(await async_client.delete(f"{URL}/{other}", headers=bearer(kept)), 404)
        assert (await refresh(async_client, kept)).status_code == 200

    async def test_session_of_another_user_is_404(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, rows: Rows
    ) -> None:
        tokens = await log_in(async_client)
        [row] = await rows("SELECT id FROM user_sessions")
        assert_problem(await async_client.delete(f"{URL}/{row['id']}", headers=admin), 404)
        assert (await async_client.get("/api/v1/users/me", headers=bearer(tokens))).status_code == 200
        assert (await refresh(async_client, tokens)).status_code == 200

    async def test_all_sessions_end_with_their_tokens(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn
    ) -> None:
        found = [await log_in(async_client), await log_in(async_client)]
        without_session = sign_in(ada)
        assert (await async_client.delete(URL, headers=bearer(found[0]))).status_code == 204
        for tokens in found:
            assert_problem(await async_client.get(URL, headers=bearer(tokens)), 401)
            assert_problem(await refresh(async_client, tokens), 400)
        assert_problem(await async_client.get(URL, headers=without_session), 401)
        assert "access_token" in await log_in(async_client)


async def test_export_has_the_sessions(async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts) -> None:
    await log_in(async_client, agent="laptop")
    [exported] = (await accounts.export(ada))["account"]["sessions"]
    assert (exported["user_agent"], exported["address"]) == ("laptop", "127.0.0.1")

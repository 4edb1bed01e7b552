"""HTTP tests of `GET /users/me/export` and `POST /users/me/erase`."""

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.core.security.users import RECENT_LOG_IN_SECONDS
from app.core.testing import (
    PASSWORD,
    Accounts,
    Headers,
    Listen,
    MakeClient,
    Rows,
    SignIn,
    UserFactory,
    assert_problem,
    pointers,
)

EXPORT = "/api/v1/users/me/export"
ERASE = "/api/v1/users/me/erase"
EMAIL = "ada@example.com"


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email=EMAIL)


async def log_in(client: httpx2.AsyncClient) -> Headers:
    form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
    tokens = (await client.post("/api/v1/auth/token", data=form)).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


class TestExport:
    async def test_export_has_account_and_slices(
        self, async_client: httpx2.AsyncClient, ada: Any, listen: Listen, accounts: Accounts
    ) -> None:
        listen("exporting", lambda user: [f"note of {user.name}"], of="notes")
        response = await async_client.get(EXPORT, headers=await log_in(async_client))
        exported = response.json()
        assert response.status_code == 200
        assert (exported["account"]["email"], exported["account"]["id"]) == (EMAIL, ada.id)
        assert (len(exported["account"]["sessions"]), exported["notes"]) == (1, ["note of Ada"])
        assert exported.keys() == (await accounts.export(ada)).keys()
        assert "argon2" not in response.text

    async def test_export_of_inactive_user_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, rows: Rows
    ) -> None:
        await rows("UPDATE users SET is_active = false RETURNING id")
        assert_problem(await async_client.get(EXPORT, headers=sign_in(ada)), 401)


class TestErase:
    async def test_erasure_deletes_data_and_ends_access(
        self, async_client: httpx2.AsyncClient, ada: Any, listen: Listen, rows: Rows
    ) -> None:
        found: list[str] = []
        listen("erased", lambda user: found.append(user.email))
        headers = await log_in(async_client)
        erased = await async_client.post(ERASE, json={"password": PASSWORD}, headers=headers)
        assert (erased.status_code, erased.content, found) == (204, b"", [EMAIL])
        assert_problem(await async_client.get("/api/v1/users/me", headers=headers), 401)
        assert await rows("SELECT name, email, is_active FROM users") == [
            {"name": "", "email": None, "is_active": False}
        ]
        assert await rows("SELECT id FROM user_sessions") == []

    async def test_wrong_password_is_403(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        response = await async_client.post(ERASE, json={"password": "wrong password"}, headers=sign_in(ada))
        assert assert_problem(response, 403)["detail"] == "The password is wrong."
        assert (await async_client.get("/api/v1/users/me", headers=sign_in(ada))).json()["email"] == EMAIL

    @pytest.mark.parametrize("body", [{}, {"password": None}, {"password": ""}])
    async def test_missing_password_is_422(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, body: dict[str, Any]
    ) -> None:
        assert pointers(await async_client.post(ERASE, json=body, headers=sign_in(ada))) == {"/body/password"}

    async def test_user_without_password_is_403(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
    ) -> None:
        user = await user_factory(password=None)
        assert_problem(await async_client.post(ERASE, json={"password": "!"}, headers=sign_in(user)), 403)

    async def test_guessing_is_limited(self, make_client: MakeClient, ada: Any, sign_in: SignIn) -> None:
        """Counts together with attempts at `PUT /users/me/password`."""
        change = {"current": "wrong password", "new": "another good one"}
        async with make_client(login_rate="2/minute") as client:
            await client.put("/api/v1/users/me/password", json=change, headers=sign_in(ada))
            wrong = {"password": "wrong password"}
            statuses = [(await client.post(ERASE, json=wrong, headers=sign_in(ada))).status_code for _ in range(2)]
        assert statuses == [403, 429]

    async def test_last_admin_is_409(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        response = await async_client.post(ERASE, json={"password": PASSWORD}, headers=admin)
        assert assert_problem(response, 409)["type"] == "urn:problem-type:last-admin"


class TestEraseWithProvider:
    HEADERS = {"Authorization": "Bearer good"}

    async def test_recent_log_in_erases(
        self, async_client: httpx2.AsyncClient, provider: Callable[..., None], rows: Rows
    ) -> None:
        provider(auth_time=int(time.time()) - RECENT_LOG_IN_SECONDS + 60)
        assert (await async_client.get("/api/v1/users/me", headers=self.HEADERS)).status_code == 200
        assert (await async_client.post(ERASE, json={}, headers=self.HEADERS)).status_code == 204
        assert await rows("SELECT subject, is_active FROM users") == [{"subject": None, "is_active": False}]

    @pytest.mark.parametrize("claims", [{}, {"auth_time": True}, {"auth_time": "now"}, {"auth_time": 0}])
    async def test_old_or_unknown_log_in_is_403(
        self, async_client: httpx2.AsyncClient, provider: Callable[..., None], claims: dict[str, Any], rows: Rows
    ) -> None:
        provider(iat=int(time.time()), **claims)
        response = await async_client.post(ERASE, json={"password": PASSWORD}, headers=self.HEADERS)
        assert assert_problem(response, 403)["detail"].startswith("Log in again")
        assert await rows("SELECT is_active FROM users") == [{"is_active": True}]

    async def test_log_in_just_too_old_is_403(
        self, async_client: httpx2.AsyncClient, provider: Callable[..., None]
    ) -> None:
        provider(auth_time=int(time.time()) - RECENT_LOG_IN_SECONDS - 1)
        assert_problem(await async_client.post(ERASE, json={}, headers=self.HEADERS), 403)

"""Deactivation, activation, export and erasure of accounts, and the effect on sessions and listeners."""

import json
from typing import Any

import httpx2
import pytest
from pwdlib import PasswordHash

from app.core.slices import SliceError
from app.core.testing import PASSWORD, Accounts, Headers, Listen, Rows, SignIn, UserFactory, assert_problem

EMAIL = "ada@example.com"


async def log_in(client: httpx2.AsyncClient, password: str = PASSWORD, email: str = EMAIL) -> httpx2.Response:
    return await client.post(
        "/api/v1/auth/token", data={"grant_type": "password", "username": email, "password": password}
    )


async def refresh(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> httpx2.Response:
    return await client.post(
        "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    )


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email=EMAIL)


class TestDeactivatedUser:
    async def test_log_in_fails_like_a_wrong_password(
        self, async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified: list[str] = []

        def verify(hashing: PasswordHash, password: str, known: str) -> bool:
            verified.append(password)
            return original(hashing, password, known)

        original = PasswordHash.verify
        monkeypatch.setattr(PasswordHash, "verify", verify)
        await accounts.deactivate(ada)
        detail = assert_problem(await log_in(async_client), 400)["detail"]
        assert detail == "The e-mail address or the password is wrong."
        assert verified == [PASSWORD], "one hash: the response time must not show the state of the account"

    async def test_refresh_is_refused(self, async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts) -> None:
        tokens = (await log_in(async_client)).json()
        await accounts.deactivate(ada)
        assert_problem(await refresh(async_client, tokens), 400)
        await accounts.activate(ada)
        assert_problem(await refresh(async_client, tokens), 400)
        assert (await log_in(async_client)).status_code == 200

    async def test_own_account_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts
    ) -> None:
        await accounts.deactivate(ada)
        assert_problem(await async_client.get("/api/v1/users/me", headers=sign_in(ada)), 401)

    async def test_listeners_are_called_once(self, ada: Any, accounts: Accounts, listen: Listen) -> None:
        found: list[bool] = []
        listen("deactivated", lambda user: found.append(user.is_active))
        await accounts.deactivate(ada)
        await accounts.deactivate(ada)
        assert found == [False]


async def test_refresh_token_of_inactive_user_is_refused(
    async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts, rows: Rows
) -> None:
    """An operator may deactivate a user by UPDATE, which deletes no refresh token."""
    tokens = (await log_in(async_client)).json()
    await rows("UPDATE users SET is_active = false RETURNING id")
    assert_problem(await refresh(async_client, tokens), 400)


async def test_new_password_ends_every_session(async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts) -> None:
    tokens = (await log_in(async_client)).json()
    await accounts.set_password(ada, "another good one")
    assert_problem(await refresh(async_client, tokens), 400)
    assert_problem(await log_in(async_client), 400)
    assert (await log_in(async_client, "another good one")).status_code == 200


async def test_log_in_is_recorded(async_client: httpx2.AsyncClient, ada: Any, rows: Rows) -> None:
    [before] = await rows("SELECT last_login FROM users")
    await log_in(async_client, "wrong password")
    [failed] = await rows("SELECT last_login FROM users")
    await log_in(async_client)
    [after] = await rows("SELECT last_login IS NOT NULL AS is_set FROM users")
    assert (before["last_login"], failed["last_login"], after["is_set"]) == (None, None, True)


class TestExport:
    async def test_export_has_account_and_slices(self, ada: Any, accounts: Accounts, listen: Listen) -> None:
        listen("exporting", lambda user: [f"note of {user.name}"], of="notes")
        exported = json.loads(json.dumps(await accounts.export(ada)))
        account = exported["account"]
        assert exported["notes"] == ["note of Ada"]
        assert (account["id"], account["name"], account["email"]) == (ada.id, "Ada", EMAIL)
        assert {"is_active", "is_admin", "roles", "issuer", "subject", "created_at", "last_login"} <= account.keys()
        assert "argon2" not in json.dumps(exported)

    async def test_second_listener_of_a_slice_is_refused(self, ada: Any, accounts: Accounts, listen: Listen) -> None:
        listen("exporting", lambda _: 1, of="notes")
        listen("exporting", lambda _: 2, of="notes")
        with pytest.raises(SliceError, match="The slice 'notes' listens to `exporting` twice"):
            await accounts.export(ada)


class TestErasedUser:
    async def test_erasure_deletes_personal_data(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, accounts: Accounts, rows: Rows
    ) -> None:
        await user_factory(is_superuser=True)
        user = await user_factory(email=EMAIL, is_superuser=True, issuer="https://id.example", subject="ada")
        tokens = (await log_in(async_client)).json()
        await accounts.give_role(user, "editor")
        await accounts.erase(user)
        [row] = await rows(f"SELECT * FROM users WHERE id = {user.id}")
        assert (row["name"], row["email"], row["issuer"], row["subject"], row["last_login"]) == (
            "",
            None,
            None,
            None,
            None,
        )
        assert (row["is_active"], row["is_superuser"]) == (False, False)
        assert not (row["password"] or "!").startswith(("$argon2", "argon2"))
        assert (await accounts.export(user))["account"]["roles"] == []
        assert await rows("SELECT * FROM user_sessions") == []
        assert_problem(await refresh(async_client, tokens), 400)
        assert_problem(await log_in(async_client), 400)

    async def test_erased_user_keeps_row_and_frees_address(
        self, async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts, admin: Headers
    ) -> None:
        await accounts.erase(ada)
        erased = (await async_client.get(f"/api/v1/users/{ada.id}", headers=admin)).json()
        assert (erased["name"], erased["email"]) == ("", None)
        body = {"name": "Ada", "email": EMAIL, "password": PASSWORD}
        assert (await async_client.post("/api/v1/users", json=body)).status_code == 201

    async def test_listener_gets_user_before_erasure(self, ada: Any, accounts: Accounts, listen: Listen) -> None:
        found: list[str] = []
        listen("erased", lambda user: found.append(user.email))
        await accounts.erase(ada)
        assert found == [EMAIL]

    async def test_listener_error_keeps_user(
        self, async_client: httpx2.AsyncClient, ada: Any, accounts: Accounts, listen: Listen
    ) -> None:
        def fail(_user: Any) -> None:
            raise RuntimeError("not now")

        listen("erased", fail)
        with pytest.raises(RuntimeError, match="not now"):
            await accounts.erase(ada)
        assert (await log_in(async_client)).status_code == 200

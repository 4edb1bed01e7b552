"""HTTP tests of `/api/v1/api-keys`, and of requests with a key."""

import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from app.core.accounts.keys.schemas import MAX_KEYS
from app.core.testing import (
    PASSWORD,
    Accounts,
    Headers,
    MakeClient,
    Rows,
    SignIn,
    UserFactory,
    assert_problem,
    pointers,
)

URL = "/api/v1/api-keys"
ME = "/api/v1/users/me"
EMAIL = "ada@example.com"


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email=EMAIL)


async def create(client: httpx2.AsyncClient, headers: Headers, **body: Any) -> dict[str, Any]:
    response = await client.post(URL, json={"name": "backup"} | body, headers=headers)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


def bearer(created: dict[str, Any]) -> Headers:
    return {"Authorization": f"Bearer {created['key']}"}


class TestCreate:
    async def test_key_is_shown_once(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, rows: Rows
    ) -> None:
        created = await create(async_client, sign_in(ada), name=" backup ")
        assert (created["name"], created["scopes"]) == ("backup", [])
        assert (created["last_used_at"], created["expires_at"]) == (None, None)
        random, checksum = re.fullmatch(r"apikey_([0-9a-f]{64})([0-9a-f]{8})", created["key"]).groups()  # type: ignore[union-attr]
        assert int(checksum, 16) == zlib.crc32(random.encode())
        listed = await async_client.get(URL, headers=sign_in(ada))
        del created["key"]
        assert listed.json()["items"] == [created]
        assert random not in str(await rows("SELECT * FROM api_keys"))

    async def test_keys_differ(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        assert len({(await create(async_client, sign_in(ada)))["key"] for _ in range(3)}) == 3

    @pytest.mark.parametrize("scope", ["admin", "notes:write", "unknown"])
    @pytest.mark.usefixtures("editor")
    async def test_scope_of_others_is_403(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, scope: str
    ) -> None:
        response = await async_client.post(URL, json={"name": "a", "scopes": [scope]}, headers=sign_in(ada))
        assert scope in assert_problem(response, 403)["detail"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "x" * 201),
            ("scopes", None),
            ("expires_at", "2026-01-31T12:00:00Z"),
            ("expires_at", "2100-01-31T12:00:00"),
            ("expires_at", 4_102_444_800),
            ("digest", "x"),
        ],
    )
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, field: str, value: object
    ) -> None:
        response = await async_client.post(URL, json={"name": "a"} | {field: value}, headers=sign_in(ada))
        assert pointers(response) == {f"/body/{field}"}

    async def test_key_above_the_limit_is_403(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, rows: Rows
    ) -> None:
        for _ in range(MAX_KEYS):
            await create(async_client, sign_in(ada))
        response = await async_client.post(URL, json={"name": "a"}, headers=sign_in(ada))
        assert assert_problem(response, 403)["type"] == "urn:problem-type:too-many-api-keys"
        await rows("UPDATE api_keys SET expires_at = now() RETURNING id")
        await create(async_client, sign_in(ada))
        assert len(await rows("SELECT id FROM api_keys")) == 1, "expired keys are deleted"


class TestOwnKeys:
    async def test_list_is_sorted(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        for name in ("b", "a"):
            await create(async_client, sign_in(ada), name=name)
        newest = (await async_client.get(URL, headers=sign_in(ada))).json()["items"]
        by_name = (await async_client.get(URL, params={"sort": "-name"}, headers=sign_in(ada))).json()["items"]
        assert [[key["name"] for key in keys] for keys in (newest, by_name)] == [["a", "b"], ["b", "a"]]
        assert pointers(await async_client.get(URL, params={"sort": "digest"}, headers=sign_in(ada))) == {"/query/sort"}

    async def test_deleted_key_is_401(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        created = await create(async_client, sign_in(ada))
        path = f"{URL}/{created['id']}"
        deleted = await async_client.delete(path, headers=sign_in(ada))
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert_problem(await async_client.get(ME, headers=bearer(created)), 401)
        assert_problem(await async_client.delete(path, headers=sign_in(ada)), 404)

    async def test_key_of_another_user_is_404(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, sign_in: SignIn
    ) -> None:
        created = await create(async_client, sign_in(ada))
        assert (await async_client.get(URL, headers=admin)).json()["items"] == []
        assert_problem(await async_client.delete(f"{URL}/{created['id']}", headers=admin), 404)
        assert (await async_client.get(ME, headers=bearer(created))).status_code == 200


class TestUse:
    async def test_key_names_its_owner(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        created = await create(async_client, sign_in(ada))
        assert (await async_client.get(ME, headers=bearer(created))).json()["email"] == EMAIL

    async def test_key_of_token_scheme_is_accepted(self, make_client: MakeClient, ada: Any, sign_in: SignIn) -> None:
        async with make_client(token_scheme="Token") as client:
            created = await create(client, sign_in(ada))
            for scheme, status in (("Token", 200), ("bearer", 200), ("Basic", 401)):
                headers = {"Authorization": f"{scheme} {created['key']}"}
                assert (await client.get(ME, headers=headers)).status_code == status

    async def test_key_has_only_its_scopes(
        self, async_client: httpx2.AsyncClient, admin: Headers, user_factory: UserFactory
    ) -> None:
        without, with_scope = [await create(async_client, admin, scopes=scopes) for scopes in ([], ["admin", "admin"])]
        assert_problem(await async_client.get("/api/v1/users", headers=bearer(without)), 403)
        assert (await async_client.get("/api/v1/users", headers=bearer(with_scope))).status_code == 200

    async def test_lost_right_is_lost_by_the_key(
        self, async_client: httpx2.AsyncClient, admin: Headers, user_factory: UserFactory, sign_in: SignIn
    ) -> None:
        other = await user_factory(is_superuser=True)
        key = bearer(await create(async_client, sign_in(other), scopes=["admin"]))
        path = f"/api/v1/users/{other.id}"
        for is_admin, status in ((False, 403), (True, 200)):
            changed = await async_client.patch(path, json={"is_admin": is_admin}, headers=admin)
            assert changed.status_code == 200
            assert (await async_client.get("/api/v1/users", headers=key)).status_code == status

    @pytest.mark.usefixtures("editor")
    async def test_key_has_scopes_of_roles(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts
    ) -> None:
        await accounts.give_role(ada, "editor")
        created = await create(async_client, sign_in(ada), scopes=["notes:write"])
        assert created["scopes"] == ["notes:write"]

    async def test_expired_key_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, rows: Rows
    ) -> None:
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        created = await create(async_client, sign_in(ada), expires_at=end)
        assert (await async_client.get(ME, headers=bearer(created))).status_code == 200
        await rows("UPDATE api_keys SET expires_at = now() RETURNING id")
        assert_problem(await async_client.get(ME, headers=bearer(created)), 401)

    async def test_last_use_is_written_once_a_minute(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, rows: Rows, statements: list[str]
    ) -> None:
        created = await create(async_client, sign_in(ada))
        for statement, writes in (
            ("SELECT last_used_at FROM api_keys", 1),
            ("UPDATE api_keys SET last_used_at = now() - interval '50 seconds' RETURNING last_used_at", 0),
            ("UPDATE api_keys SET last_used_at = now() - interval '70 seconds' RETURNING last_used_at", 1),
        ):
            [before] = await rows(statement)
            statements.clear()
            assert (await async_client.get(ME, headers=bearer(created))).status_code == 200
            assert len([sql for sql in statements if sql.startswith("UPDATE")]) == writes, statement
            [after] = await rows("SELECT last_used_at FROM api_keys")
            assert (after != before) is bool(writes)

    async def test_altered_key_is_401_without_a_query(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, statements: list[str]
    ) -> None:
        key = (await create(async_client, sign_in(ada)))["key"]
        statements.clear()
        for altered in (f"{key[:20]}{(int(key[20], 16) + 1) % 16:x}{key[21:]}", key[:-1], f"{key}0", "apikey_"):
            response = await async_client.get(ME, headers={"Authorization": f"Bearer {altered}"})
            assert "www-authenticate" in response.headers
            assert_problem(response, 401)
        assert statements == []

    async def test_unknown_key_is_401(self, async_client: httpx2.AsyncClient, ada: Any) -> None:
        unknown = f"apikey_{'0' * 64}{zlib.crc32(b'0' * 64):08x}"
        assert_problem(await async_client.get(ME, headers={"Authorization": f"Bearer {unknown}"}), 401)


class TestRefused:
    """A stolen key must not create keys, take over the account, or lock its owner out."""

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", URL, {"name": "another"}),
            ("GET", URL, None),
            ("DELETE", f"{URL}/1", None),
            ("PATCH", ME, {"email": "eve@example.com"}),
            ("PUT", f"{ME}/password", {"current": PASSWORD, "new": "another good one"}),
            ("GET", f"{ME}/export", None),
            ("POST", f"{ME}/erase", {"password": PASSWORD}),
            ("GET", "/api/v1/auth/sessions", None),
            ("DELETE", "/api/v1/auth/sessions", None),
            ("DELETE", "/api/v1/auth/sessions/1", None),
        ],
    )
    async def test_key_cannot_manage_the_account(
        self, async_client: httpx2.AsyncClient, admin: Headers, method: str, path: str, body: dict[str, Any] | None
    ) -> None:
        key = bearer(await create(async_client, admin, scopes=["admin"]))
        response = await async_client.request(method, path, json=body, headers=key)
        assert assert_problem(response, 403)["detail"] == "An API key does not allow this: log in."

    async def test_key_cannot_refresh(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        created = await create(async_client, sign_in(ada))
        form = {"grant_type": "refresh_token", "refresh_token": created["key"]}
        assert_problem(await async_client.post("/api/v1/auth/token", data=form), 400)

    async def test_document_says_which_routes_accept_keys(self, async_client: httpx2.AsyncClient) -> None:
        document = (await async_client.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        assert document["paths"][ME]["get"]["security"] == [{"token": []}, {"key": []}]
        assert document["paths"][ME]["patch"]["security"] == [{"token": []}]
        assert document["paths"][URL]["post"]["security"] == [{"token": []}]


class TestOwner:
    async def test_deactivation_deletes_keys(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts, rows: Rows
    ) -> None:
        created = await create(async_client, sign_in(ada))
        await accounts.deactivate(ada)
        assert_problem(await async_client.get(ME, headers=bearer(created)), 401)
        assert await rows("SELECT id FROM api_keys") == []

    async def test_key_of_user_deactivated_by_update_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, rows: Rows
    ) -> None:
        created = await create(async_client, sign_in(ada))
        await rows("UPDATE users SET is_active = false RETURNING id")
        assert_problem(await async_client.get(f"/api/v1/users/{ada.id}", headers=bearer(created)), 401)

    async def test_erasure_deletes_keys(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts, rows: Rows
    ) -> None:
        created = await create(async_client, sign_in(ada))
        await accounts.erase(ada)
        assert_problem(await async_client.get(ME, headers=bearer(created)), 401)
        assert await rows("SELECT id FROM api_keys") == []

    async def test_export_has_keys_without_digest(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts
    ) -> None:
        created = await create(async_client, sign_in(ada))
        [exported] = (await accounts.export(ada))["account"]["api_keys"]
        del created["key"]
        assert exported == created

    async def test_new_password_keeps_keys(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts
    ) -> None:
        created = await create(async_client, sign_in(ada))
        await accounts.set_password(ada, "another good one")
        assert (await async_client.get(ME, headers=bearer(created))).status_code == 200


class TestProvider:
    async def test_key_of_provider_user_has_local_scopes(
        self, async_client: httpx2.AsyncClient, provider: Callable[..., None], rows: Rows
    ) -> None:
        """The service does not see when the provider takes a right away."""
        good = {"Authorization": "Bearer good"}
        provider("admin")
        body = {"name": "a", "scopes": ["admin"]}
        assert_problem(await async_client.post(URL, json=body, headers=good), 403)
        plain = bearer(await create(async_client, good))
        assert (await async_client.get(ME, headers=plain)).status_code == 200
        assert_problem(await async_client.get("/api/v1/users", headers=plain), 403)
        [user] = await rows("UPDATE users SET is_superuser = true RETURNING id")
        local = bearer(await create(async_client, good, scopes=["admin"]))
        assert (await async_client.get("/api/v1/users", headers=local)).status_code == 200
        await rows("UPDATE users SET is_active = false RETURNING id")
        assert_problem(await async_client.get(f"/api/v1/users/{user['id']}", headers=plain), 401)

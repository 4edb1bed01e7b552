"""HTTP tests of `/api/v1/users`."""

import json
from typing import Any

import httpx2
import pytest

from app.core.accounts import routes
from app.core.accounts.repository import UserRepository
from app.core.testing import Headers, MakeClient, SignIn, UserFactory, assert_problem, pointers

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "engine no. 1"}


class TestRegistration:
    @pytest.mark.parametrize(
        ("input_data", "expected_status"),
        [
            (ADA, 201),
            (ADA | {"name": ""}, 422),
            ({key: value for key, value in ADA.items() if key != "name"}, 422),
        ],
        ids=["valid", "empty_name", "missing_name"],
    )
    async def test_registration_validates_the_body(
        self, async_client: httpx2.AsyncClient, input_data: dict[str, Any], expected_status: int
    ) -> None:
        response = await async_client.post("/api/v1/users", json=input_data)
        assert response.status_code == expected_status

    async def test_registration_returns_location_and_no_password(self, async_client: httpx2.AsyncClient) -> None:
        response = await async_client.post("/api/v1/users", json=ADA)
        user = response.json()
        assert response.headers["location"] == f"/api/v1/users/{user['id']}"
        assert user.keys() == {"id", "name", "email", "is_active", "is_admin", "created_at", "updated_at"}
        assert user["name"] == "Ada Lovelace"
        assert user["is_admin"] is False
        assert user["created_at"].endswith("Z")

    async def test_name_is_stripped_and_password_is_not(self, async_client: httpx2.AsyncClient) -> None:
        body = ADA | {"name": "  Ada  ", "password": "  eight  "}
        assert (await async_client.post("/api/v1/users", json=body)).json()["name"] == "Ada"
        form = {"grant_type": "password", "username": ADA["email"], "password": "  eight  "}
        assert (await async_client.post("/api/v1/auth/token", data=form)).status_code == 200
        assert (await async_client.post("/api/v1/auth/token", data=form | {"password": "  eight"})).status_code == 400

    @pytest.mark.parametrize("password", ["        ", "x" * 128, "éèêëñßøå", "👩‍👩‍👧👩‍👩‍👧", "' OR 1=1"])
    async def test_password_is_used_unchanged(self, async_client: httpx2.AsyncClient, password: str) -> None:
        assert (await async_client.post("/api/v1/users", json=ADA | {"password": password})).status_code == 201
        form = {"grant_type": "password", "username": ADA["email"], "password": password}
        assert (await async_client.post("/api/v1/auth/token", data=form)).status_code == 200
        assert (
            await async_client.post("/api/v1/auth/token", data=form | {"password": password[:-1]})
        ).status_code == 400

    async def test_another_keyboard_types_the_same_account(self, async_client: httpx2.AsyncClient) -> None:
        composed, decomposed = "caf\u00e9 au lait", "cafe\u0301\u00a0au\u3000lait"
        ada = {"name": "Jose\u0301\u200b", "email": "jose\u0301@example.com", "password": decomposed}
        user = await async_client.post("/api/v1/users", json=ada)
        assert (user.json()["name"], user.json()["email"]) == ("Jos\u00e9", "jos\u00e9@example.com")
        form = {"grant_type": "password", "username": "jos\u00e9@example.com", "password": composed}
        token = (await async_client.post("/api/v1/auth/token", data=form)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        change = {"current": decomposed, "new": "nai\u0308ve engine"}
        assert (await async_client.put("/api/v1/users/me/password", json=change, headers=headers)).status_code == 204
        form |= {"password": "na\u00efve engine"}
        assert (await async_client.post("/api/v1/auth/token", data=form)).status_code == 200

    @pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com", "Ada@Example.COM"])
    async def test_taken_address_is_409_in_any_case(self, async_client: httpx2.AsyncClient, email: str) -> None:
        assert (await async_client.post("/api/v1/users", json=ADA)).status_code == 201
        problem = assert_problem(await async_client.post("/api/v1/users", json=ADA | {"email": email}), 409)
        assert problem["type"] == "urn:problem-type:email-taken"

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"email": "invalid"}, "/body/email"),
            ({"email": f"{'a' * 250}@example.com"}, "/body/email"),
            ({"password": "seven77"}, "/body/password"),
            ({"password": "x" * 129}, "/body/password"),
            ({"password": "Password1"}, "/body/password"),
            ({"password": "tab\tulator"}, "/body/password"),
            ({"password": "unassigned \u0378"}, "/body/password"),
            ({"password": "stacked" + "\u0301" * 31}, "/body/password"),
            ({"email": "ada\u200b@example.com"}, "/body/email"),
            ({"email": "ada\u3164@example.com"}, "/body/email"),
            ({"email": "ada\ufe0f@example.com"}, "/body/email"),
            ({"name": "x" * 201}, "/body/name"),
            ({"name": "a\x00b"}, "/body/name"),
            ({"name": "a\nb"}, "/body/name"),
            ({"name": "   "}, "/body/name"),
            ({"name": 7}, "/body/name"),
            ({"is_admin": True}, "/body/is_admin"),
            ({"id": 1}, "/body/id"),
        ],
    )
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, changes: dict[str, Any], pointer: str
    ) -> None:
        assert pointers(await async_client.post("/api/v1/users", json=ADA | changes)) == {pointer}

    async def test_lone_surrogate_is_refused(self, async_client: httpx2.AsyncClient) -> None:
        body = json.dumps(ADA | {"name": "\ud800"})
        response = await async_client.post("/api/v1/users", content=body, headers={"Content-Type": "application/json"})
        assert pointers(response) == {"/body/name"}

    async def test_refused_password_is_not_in_response(self, async_client: httpx2.AsyncClient) -> None:
        response = await async_client.post("/api/v1/users", json=ADA | {"password": "hunter2"})
        assert "hunter2" not in response.text

    async def test_registration_rate_limit(self, make_client: MakeClient) -> None:
        async with make_client(registration_rate="2/minute") as client:
            for number in range(2):
                assert (
                    await client.post("/api/v1/users", json=ADA | {"email": f"a{number}@example.com"})
                ).status_code == 201
            response = await client.post("/api/v1/users", json=ADA)
            assert_problem(response, 429)
            assert 1 <= int(response.headers["retry-after"]) <= 60

    async def test_closed_registration_is_403(self, make_client: MakeClient) -> None:
        async with make_client(registration="closed") as client:
            problem = assert_problem(await client.post("/api/v1/users", json=ADA), 403)
            assert problem["detail"] == "Registration is closed. Ask the operators of this service for an account."


class TestAccount:
    async def test_me_returns_own_account(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn
    ) -> None:
        user = await user_factory(name="Ada")
        response = await async_client.get("/api/v1/users/me", headers=sign_in(user))
        assert (response.status_code, response.json()["id"], response.json()["name"]) == (200, user.id, "Ada")

    async def test_account_of_another_user_is_404(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, admin: Headers
    ) -> None:
        ada, grace = await user_factory(), await user_factory()
        assert (await async_client.get(f"/api/v1/users/{ada.id}", headers=sign_in(ada))).status_code == 200
        existing = assert_problem(await async_client.get(f"/api/v1/users/{grace.id}", headers=sign_in(ada)), 404)
        missing = assert_problem(await async_client.get("/api/v1/users/999999", headers=sign_in(ada)), 404)
        assert existing["detail"] == missing["detail"]
        assert (await async_client.get(f"/api/v1/users/{ada.id}", headers=admin)).json()["id"] == ada.id
        assert_problem(await async_client.get("/api/v1/users/999999", headers=admin), 404)

    @pytest.mark.parametrize("user_id", ["0", "-1", "x", "1.5", str(2**53), "9" * 5000])
    async def test_invalid_id_is_422(self, async_client: httpx2.AsyncClient, admin: Headers, user_id: str) -> None:
        assert pointers(await async_client.get(f"/api/v1/users/{user_id}", headers=admin)) == {"/path/user_id"}

    @pytest.mark.parametrize(("path", "allowed"), [("/users/me", "GET, HEAD, PATCH"), ("/users/export", "GET, HEAD")])
    async def test_own_path_is_not_an_id(
        self, async_client: httpx2.AsyncClient, admin: Headers, path: str, allowed: str
    ) -> None:
        response = await async_client.delete(f"/api/v1{path}", headers=admin)
        assert_problem(response, 405)
        assert response.headers["allow"] == allowed

    @pytest.mark.parametrize("path", ["/api/v1/users", "/api/v1/users/me", "/api/v1/users/1", "/api/v1/users/export"])
    async def test_missing_token_is_401(self, async_client: httpx2.AsyncClient, path: str) -> None:
        response = await async_client.get(path)
        assert_problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


class TestList:
    @pytest.mark.parametrize("path", ["/api/v1/users", "/api/v1/users/export"])
    async def test_user_list_without_admin_scope_is_403(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, path: str
    ) -> None:
        assert_problem(await async_client.get(path, headers=sign_in(await user_factory())), 403)

    async def test_user_list_is_paginated(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, admin: Headers
    ) -> None:
        for number in range(4):
            await user_factory(name=f"User {number}")
        first = (await async_client.get("/api/v1/users", params={"size": 2}, headers=admin)).json()
        third = (await async_client.get("/api/v1/users", params={"size": 2, "page": 3}, headers=admin)).json()
        assert [user["name"] for user in first["items"]] == ["Admin", "User 0"]
        assert [user["name"] for user in third["items"]] == ["User 3"]
        assert (first["page"], first["size"], first["total"]) == (1, 2, 5)

    @pytest.mark.parametrize(
        ("asked", "given"),
        [
            ({}, (1, 20)),
            ({"page": 0, "size": 0}, (1, 1)),
            ({"page": -5, "size": -5}, (1, 1)),
            ({"page": 2, "size": 101}, (2, 100)),
            ({"page": 10**30, "size": 10**30}, (10_000_000, 100)),
        ],
    )
    async def test_pages_out_of_range_are_clamped(
        self, async_client: httpx2.AsyncClient, admin: Headers, asked: dict[str, int], given: tuple[int, int]
    ) -> None:
        page = (await async_client.get("/api/v1/users", params=asked, headers=admin)).json()
        assert (page["page"], page["size"]) == given

    async def test_invalid_page_is_422(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        assert pointers(await async_client.get("/api/v1/users", params={"page": "two"}, headers=admin)) == {
            "/query/page"
        }

    async def test_export_contains_every_user(
        self,
        async_client: httpx2.AsyncClient,
        user_factory: UserFactory,
        admin: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Several batches of the cursor, and several chunks of the response.
        monkeypatch.setattr(UserRepository, "ROWS_AT_A_TIME", 5)
        monkeypatch.setattr(routes, "CHUNK_BYTES", 500)
        names = [f"User {number}" for number in range(23)]
        for name in names:
            await user_factory(name=name)
        response = await async_client.get("/api/v1/users/export", headers=admin)
        assert response.headers["content-type"] == "application/x-ndjson"
        users = [json.loads(line) for line in response.text.splitlines()]
        assert [user["name"] for user in users] == ["Admin", *names]
        assert not any("password" in key for user in users for key in user)

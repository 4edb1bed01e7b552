"""HTTP tests of `/api/v1/auth`."""

from typing import Any

import httpx2
import jwt
import pytest

from app.core.accounts import repository
from app.core.testing import PASSWORD, Headers, MakeClient, Rows, SignIn, UserFactory, assert_problem, pointers


async def log_in(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await client.post("/api/v1/auth/token", data={"username": email, "password": password})


async def tokens_of(client: httpx2.AsyncClient, email: str) -> dict[str, Any]:
    tokens: dict[str, Any] = (await log_in(client, email)).json()
    return tokens


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


async def test_log_in_returns_a_bearer_token(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    user = await user_factory(email="ada@example.com")
    response = await log_in(async_client, "ADA@example.com")
    tokens = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    me = await async_client.get("/api/v1/users/me", headers=bearer(tokens["access_token"]))
    assert me.json()["id"] == user.id


@pytest.mark.parametrize("email", ["jo\u0308rg@example.com", "ada@xn--bcher-kva.example", "Ada@EXAMPLE.com"])
async def test_log_in_accepts_address_as_registered(async_client: httpx2.AsyncClient, email: str) -> None:
    account = {"name": "Ada", "email": email, "password": PASSWORD}
    assert (await async_client.post("/api/v1/users", json=account)).status_code == 201
    assert (await log_in(async_client, email)).status_code == 200


async def test_admin_log_in_gets_admin_scope(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True)
    tokens = await tokens_of(async_client, "root@example.com")
    assert (await async_client.get("/api/v1/users", headers=bearer(tokens["access_token"]))).status_code == 200


async def test_access_token_lifetime_is_a_setting(make_client: MakeClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    async with make_client(access_token_minutes=5) as client:
        tokens = await tokens_of(client, "ada@example.com")
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert tokens["expires_in"] == claims["exp"] - int(claims["iat"]) == 300


@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.com", "wrong password"), ("unknown@example.com", PASSWORD)]
)
async def test_unknown_address_answers_like_wrong_password(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, email: str, password: str
) -> None:
    await user_factory(email="ada@example.com")
    response = await log_in(async_client, email, password)
    assert assert_problem(response, 401)["detail"] == "The e-mail address or the password is wrong."


async def test_json_log_in_is_415(async_client: httpx2.AsyncClient) -> None:
    assert_problem(await async_client.post("/api/v1/auth/token", json={"username": "a", "password": "b"}), 415)


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        ({"username": "a@example.com"}, "/body/password"),
        ({"password": PASSWORD}, "/body/username"),
        ({"username": "a", "password": PASSWORD, "grant_type": "client_credentials"}, "/body/grant_type"),
        ({"username": "a", "password": PASSWORD, "is_admin": "1"}, "/body/is_admin"),
        ({"username": "a\x00", "password": PASSWORD}, "/body/username"),
    ],
)
async def test_invalid_log_in_form_is_422(async_client: httpx2.AsyncClient, form: Headers, pointer: str) -> None:
    assert pointers(await async_client.post("/api/v1/auth/token", data=form)) == {pointer}


async def test_log_in_rate_limit_per_account(make_client: MakeClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    await user_factory(email="grace@example.com")
    async with make_client(login_rate="2/minute") as client:
        for _ in range(2):
            assert (await log_in(client, "ada@example.com", "wrong password")).status_code == 401
        response = await log_in(client, "ADA@example.com")
        assert_problem(response, 429)
        assert int(response.headers["retry-after"]) >= 1
        assert (await log_in(client, "grace@example.com")).status_code == 200


async def test_log_in_rate_limit_per_client_address(make_client: MakeClient) -> None:
    async with make_client(login_address_rate="2/minute") as client:
        for number in range(2):
            assert (await log_in(client, f"user{number}@example.com")).status_code == 401
        assert_problem(await log_in(client, "user3@example.com"), 429)


async def test_refresh_rotates_the_refresh_token(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    first = await tokens_of(async_client, "ada@example.com")
    second = (await refresh(async_client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await async_client.get("/api/v1/users/me", headers=bearer(second["access_token"]))).status_code == 200


async def test_refresh_token_reuse_revokes_family(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    first = await tokens_of(async_client, "ada@example.com")
    other_log_in = await tokens_of(async_client, "ada@example.com")
    second = (await refresh(async_client, first["refresh_token"])).json()
    assert_problem(await refresh(async_client, first["refresh_token"]), 401)
    assert_problem(await refresh(async_client, second["refresh_token"]), 401)
    assert (await refresh(async_client, other_log_in["refresh_token"])).status_code == 200


async def test_unknown_refresh_token_is_401(async_client: httpx2.AsyncClient) -> None:
    assert_problem(await refresh(async_client, "x" * 43), 401)
    assert pointers(await refresh(async_client, "")) == {"/body/refresh_token"}


async def test_access_token_cannot_refresh(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="ada@example.com")
    tokens = await tokens_of(async_client, "ada@example.com")
    assert (await refresh(async_client, tokens["access_token"])).status_code in {401, 422}
    assert_problem(await async_client.get("/api/v1/users/me", headers=bearer(tokens["refresh_token"])), 401)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c", "Bearer  "])
async def test_malformed_authorization_is_401(async_client: httpx2.AsyncClient, header: str) -> None:
    assert_problem(await async_client.get("/api/v1/users/me", headers={"Authorization": header}), 401)


async def test_token_scheme_is_a_setting(make_client: MakeClient, user_factory: UserFactory, sign_in: SignIn) -> None:
    token = sign_in(await user_factory())["Authorization"].removeprefix("Bearer ")
    accepted = {"Bearer": {"Bearer"}, "Token": {"Token", "token", "Bearer"}}
    for scheme, headers in accepted.items():
        async with make_client(token_scheme=scheme) as client:
            for header in ("Bearer", "Token", "token", "Basic"):
                response = await client.get("/api/v1/users/me", headers={"Authorization": f"{header} {token}"})
                assert response.status_code == (200 if header in headers else 401)


async def test_identity_provider_disables_local_accounts(make_client: MakeClient) -> None:
    async with make_client(jwt_issuer="http://127.0.0.1:9", jwt_audience="service") as client:
        assert_problem(await log_in(client, "ada@example.com"), 404)
        assert_problem(await refresh(client, "x"), 404)
        body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        assert_problem(await client.post("/api/v1/users", json=body), 404)


async def test_refresh_rate_limit_per_client_address(make_client: MakeClient) -> None:
    async with make_client(refresh_rate="2/minute") as client:
        statuses = [(await refresh(client, "x" * 43)).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


async def test_session_keeps_a_limited_number_of_used_tokens(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MAX_USED_TOKENS", 2)
    await user_factory(email="ada@example.com")
    tokens = [(await tokens_of(async_client, "ada@example.com"))["refresh_token"]]
    for _ in range(5):
        tokens.append((await refresh(async_client, tokens[-1])).json()["refresh_token"])
    assert await rows("SELECT count(*) AS stored FROM refresh_tokens") == [{"stored": 3}]
    assert_problem(await refresh(async_client, tokens[0]), 401)
    assert (await refresh(async_client, tokens[-1])).status_code == 200, "a forgotten token does not end the session"
    assert_problem(await refresh(async_client, tokens[-2]), 401)
    assert await rows("SELECT count(*) AS stored FROM refresh_tokens") == [{"stored": 0}]

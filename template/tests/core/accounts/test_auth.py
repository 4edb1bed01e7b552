"""HTTP tests of `/api/v1/auth`."""

from typing import Any

import httpx2
import jwt
import pytest
from structlog.testing import capture_logs

from app.core.accounts.auth import repository
from app.core.config import Settings
from app.core.testing import PASSWORD, Headers, MakeClient, Rows, SignIn, UserFactory, assert_problem


async def log_in(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await client.post(
        "/api/v1/auth/token", data={"grant_type": "password", "username": email, "password": password}
    )


async def tokens_of(client: httpx2.AsyncClient, email: str) -> dict[str, Any]:
    tokens: dict[str, Any] = (await log_in(client, email)).json()
    return tokens


def claims_of(tokens: dict[str, Any]) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    return claims


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})


async def revoke(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/revoke", data={"token": token, "token_type_hint": "refresh_token"})


def refused(response: httpx2.Response) -> None:
    assert assert_problem(response, 400)["error"] == "invalid_grant"


LATER = "UPDATE refresh_tokens SET used_at = used_at - interval '6 seconds' RETURNING id"


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


LOG_IN = "grant_type=password&username=a&password=b"
MULTIPART = "".join(
    f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in (("grant_type", "password"), ("username", "a"), ("password", "b"), ("token", "x"))
)


class TestRevoke:
    @pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
    async def test_session_and_its_access_tokens_end(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, kind: str
    ) -> None:
        await user_factory(email="ada@example.com")
        first = await tokens_of(async_client, "ada@example.com")
        tokens = (await refresh(async_client, first["refresh_token"])).json()
        other_log_in = await tokens_of(async_client, "ada@example.com")
        response = await revoke(async_client, tokens[kind])
        assert (response.status_code, response.content) == (200, b"")
        refused(await refresh(async_client, tokens["refresh_token"]))
        for ended in (first, tokens):
            assert_problem(await async_client.get("/api/v1/users/me", headers=bearer(ended["access_token"])), 401)
        assert (await async_client.get("/api/v1/users/me", headers=bearer(other_log_in["access_token"]))).is_success
        assert (await refresh(async_client, other_log_in["refresh_token"])).status_code == 200

    async def test_used_refresh_token_ends_the_session(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        """A tab may log out with the token that another tab has refreshed."""
        await user_factory(email="ada@example.com")
        first = await tokens_of(async_client, "ada@example.com")
        second = (await refresh(async_client, first["refresh_token"])).json()
        assert (await revoke(async_client, first["refresh_token"])).status_code == 200
        refused(await refresh(async_client, second["refresh_token"]))

    async def test_unknown_token_is_200(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        for token in ("x" * 43, "a.b.c", admin["Authorization"].removeprefix("Bearer ")):
            assert (await revoke(async_client, token)).status_code == 200
        assert (await async_client.get("/api/v1/users/me", headers=admin)).is_success, "the token has no session"

    @pytest.mark.parametrize("form", [{"x": "1"}, {"token": ""}, {"token": ["a", "b"]}, {"token": "x" * 5000}])
    async def test_invalid_request_is_400(self, async_client: httpx2.AsyncClient, form: Any) -> None:
        response = await async_client.post("/api/v1/auth/revoke", data=form)
        assert assert_problem(response, 400)["error"] == "invalid_request"

    async def test_rate_limit_per_client_address(self, make_client: MakeClient) -> None:
        async with make_client(refresh_rate="2/minute") as client:
            assert [(await revoke(client, "x")).status_code for _ in "123"] == [200, 200, 429]


class TestLogIn:
    async def test_log_in_returns_a_bearer_token(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        user = await user_factory(email="ada@example.com")
        response = await log_in(async_client, "ADA@example.com")
        tokens = response.json()
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
        me = await async_client.get("/api/v1/users/me", headers=bearer(tokens["access_token"]))
        assert me.json()["id"] == user.id
        again = await log_in(async_client, "ada@example.com")
        assert again.status_code == 200
        assert again.json()["refresh_token"] != tokens["refresh_token"]
        sessions = {claims_of(found)["sid"] for found in (tokens, again.json())}
        assert len(sessions) == 2, "each log-in begins a session"

    @pytest.mark.parametrize("email", ["jo\u0308rg@example.com", "ada@xn--bcher-kva.example", "Ada@EXAMPLE.com"])
    async def test_log_in_accepts_address_as_registered(self, async_client: httpx2.AsyncClient, email: str) -> None:
        account = {"name": "Ada", "email": email, "password": PASSWORD}
        assert (await async_client.post("/api/v1/users", json=account)).status_code == 201
        assert (await log_in(async_client, email)).status_code == 200

    async def test_admin_log_in_gets_admin_scope(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        await user_factory(email="root@example.com", is_superuser=True)
        tokens = await tokens_of(async_client, "root@example.com")
        assert (await async_client.get("/api/v1/users", headers=bearer(tokens["access_token"]))).status_code == 200

    async def test_access_token_lifetime_is_a_setting(self, make_client: MakeClient, user_factory: UserFactory) -> None:
        await user_factory(email="ada@example.com")
        async with make_client(access_token_minutes=5) as client:
            tokens = await tokens_of(client, "ada@example.com")
        claims = claims_of(tokens)
        assert tokens["expires_in"] == claims["exp"] - int(claims["iat"]) == 300

    @pytest.mark.parametrize(
        ("email", "password"), [("ada@example.com", "wrong password"), ("unknown@example.com", PASSWORD)]
    )
    async def test_unknown_address_answers_like_wrong_password(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, email: str, password: str
    ) -> None:
        await user_factory(email="ada@example.com")
        response = await log_in(async_client, email, password)
        problem = assert_problem(response, 400)
        assert (problem["error"], problem["detail"]) == (
            "invalid_grant",
            "The e-mail address or the password is wrong.",
        )

    @pytest.mark.parametrize("path", ["token", "revoke"])
    @pytest.mark.parametrize(
        ("body", "media_type"),
        [
            ('{"grant_type": "password", "username": "a", "password": "b", "token": "x"}', "application/json"),
            (f"{MULTIPART}--x--\r\n", "multipart/form-data; boundary=x"),
            ("--y", "multipart/form-data; boundary=x"),
            ("--y", "multipart/form-data"),
            (f"{LOG_IN}&token=x", "text/plain"),
            (f"{LOG_IN}&token=x", ""),
            ("", ""),
            (LOG_IN + "".join(f"&p{number}=1" for number in range(1001)), "application/x-www-form-urlencoded"),
        ],
        ids=["json", "multipart", "broken multipart", "no boundary", "text", "no type", "no body", "1001 parameters"],
    )
    async def test_body_that_is_not_a_form_is_400(
        self, async_client: httpx2.AsyncClient, path: str, body: str, media_type: str
    ) -> None:
        headers = {"Content-Type": media_type} if media_type else {}
        response = await async_client.post(f"/api/v1/auth/{path}", content=body, headers=headers)
        assert assert_problem(response, 400)["error"] == response.json()["error"] == "invalid_request"

    @pytest.mark.parametrize(
        ("form", "error"),
        [
            ({"x": "1"}, "invalid_request"),
            ({"username": "a@example.com", "password": PASSWORD}, "invalid_request"),
            ({"grant_type": "", "username": "a@example.com", "password": PASSWORD}, "invalid_request"),
            ({"grant_type": "password", "username": "a@example.com"}, "invalid_request"),
            ({"grant_type": "password", "username": "a@example.com", "password": ""}, "invalid_request"),
            ({"grant_type": "password", "password": PASSWORD}, "invalid_request"),
            ({"grant_type": "password", "username": "a\x00", "password": PASSWORD}, "invalid_request"),
            ({"grant_type": "password", "username": ["a", "b"], "password": PASSWORD}, "invalid_request"),
            ({"grant_type": ["password", "password"], "username": "a", "password": PASSWORD}, "invalid_request"),
            ({"grant_type": "refresh_token"}, "invalid_request"),
            ({"grant_type": "refresh_token", "refresh_token": ""}, "invalid_request"),
            ({"grant_type": "refresh_token", "refresh_token": "x" * 5000}, "invalid_request"),
            ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
            ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
            ({"grant_type": "PASSWORD", "username": "a", "password": PASSWORD}, "unsupported_grant_type"),
        ],
    )
    async def test_invalid_token_request_is_400(self, async_client: httpx2.AsyncClient, form: Any, error: str) -> None:
        response = await async_client.post("/api/v1/auth/token", data=form)
        assert assert_problem(response, 400)["error"] == error
        assert response.json()["error"] == error
        assert response.headers["cache-control"] == "no-store"

    async def test_unknown_parameters_are_ignored(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        await user_factory(email="ada@example.com")
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        response = await async_client.post(
            "/api/v1/auth/token", data=form | {"scope": "admin", "audience": "x", "x": ""}
        )
        assert (response.status_code, response.json()["scope"]) == (200, "")

    async def test_log_in_rate_limit_per_account(self, make_client: MakeClient, user_factory: UserFactory) -> None:
        await user_factory(email="ada@example.com")
        await user_factory(email="grace@example.com")
        async with make_client(login_rate="2/minute") as client:
            for _ in range(2):
                assert (await log_in(client, "ada@example.com", "wrong password")).status_code == 400
            response = await log_in(client, "ADA@\uff25xample.com")
            assert_problem(response, 429)
            assert int(response.headers["retry-after"]) >= 1
            assert (await log_in(client, "grace@example.com")).status_code == 200

    async def test_log_in_rate_limit_per_client_address(self, make_client: MakeClient) -> None:
        async with make_client(login_address_rate="2/minute") as client:
            for number in range(2):
                assert (await log_in(client, f"user{number}@example.com")).status_code == 400
            assert_problem(await log_in(client, "user3@example.com"), 429)

    async def test_identity_provider_disables_local_accounts(self, make_client: MakeClient) -> None:
        async with make_client(jwt_issuer="http://127.0.0.1:9", jwt_audience="service") as client:
            assert_problem(await log_in(client, "ada@example.com"), 404)
            assert_problem(await refresh(client, "x"), 404)
            assert_problem(await revoke(client, "x"), 404)
            body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
            assert_problem(await client.post("/api/v1/users", json=body), 404)


class TestRefresh:
    async def test_refresh_rotates_the_refresh_token(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        await user_factory(email="ada@example.com")
        first = await tokens_of(async_client, "ada@example.com")
        second = (await refresh(async_client, first["refresh_token"])).json()
        assert second["refresh_token"] != first["refresh_token"]
        assert (await async_client.get("/api/v1/users/me", headers=bearer(second["access_token"]))).status_code == 200
        refused(await refresh(async_client, first["refresh_token"]))

    async def test_refresh_token_reuse_revokes_family(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, rows: Rows
    ) -> None:
        user = await user_factory(email="ada@example.com")
        first = await tokens_of(async_client, "ada@example.com")
        other_log_in = await tokens_of(async_client, "ada@example.com")
        second = (await refresh(async_client, first["refresh_token"])).json()
        await rows(LATER)
        with capture_logs() as lines:
            refused(await refresh(async_client, first["refresh_token"]))
        assert [line["account"] for line in lines if line["event"] == "refresh token reused"] == [user.id]
        refused(await refresh(async_client, second["refresh_token"]))
        assert_problem(await async_client.get("/api/v1/users/me", headers=bearer(second["access_token"])), 401)
        assert (await refresh(async_client, other_log_in["refresh_token"])).status_code == 200
        assert (await async_client.get("/api/v1/users/me", headers=bearer(other_log_in["access_token"]))).is_success

    async def test_second_use_within_grace_keeps_session(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        """Two tabs of a browser refresh at the same time."""
        await user_factory(email="ada@example.com")
        first = await tokens_of(async_client, "ada@example.com")
        second = (await refresh(async_client, first["refresh_token"])).json()
        refused(await refresh(async_client, first["refresh_token"]))
        assert (await refresh(async_client, second["refresh_token"])).status_code == 200

    async def test_access_token_cannot_refresh(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory
    ) -> None:
        await user_factory(email="ada@example.com")
        tokens = await tokens_of(async_client, "ada@example.com")
        refused(await refresh(async_client, tokens["access_token"]))
        assert_problem(await async_client.get("/api/v1/users/me", headers=bearer(tokens["refresh_token"])), 401)

    async def test_access_token_ends_with_its_session(
        self, make_client: MakeClient, user_factory: UserFactory, rows: Rows
    ) -> None:
        await user_factory(email="ada@example.com")
        async with make_client(access_token_minutes=1440, refresh_token_days=1) as client:
            tokens = await tokens_of(client, "ada@example.com")
            for _ in range(2):
                claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
                [session] = await rows("SELECT expires_at FROM user_sessions")
                assert claims["exp"] <= session["expires_at"].timestamp()
                assert tokens["expires_in"] == pytest.approx(claims["exp"] - claims["iat"], abs=1)
                await rows("UPDATE user_sessions SET expires_at = now() + interval '1 minute' RETURNING id")
                tokens = (await refresh(client, tokens["refresh_token"])).json()
            assert tokens["expires_in"] <= 60

    async def test_expired_session_cannot_refresh(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, rows: Rows
    ) -> None:
        await user_factory(email="ada@example.com")
        tokens = await tokens_of(async_client, "ada@example.com")
        await rows("UPDATE user_sessions SET expires_at = now() RETURNING id")
        refused(await refresh(async_client, tokens["refresh_token"]))

    async def test_refresh_rate_limit_per_client_address(self, make_client: MakeClient) -> None:
        async with make_client(refresh_rate="2/minute") as client:
            statuses = [(await refresh(client, "x" * 43)).status_code for _ in range(3)]
        assert statuses == [400, 400, 429]

    async def test_session_keeps_a_limited_number_of_used_tokens(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(repository, "MAX_USED_TOKENS", 2)
        await user_factory(email="ada@example.com")
        tokens = [(await tokens_of(async_client, "ada@example.com"))["refresh_token"]]
        for _ in range(5):
            tokens.append((await refresh(async_client, tokens[-1])).json()["refresh_token"])
        assert await rows("SELECT count(*) AS stored FROM refresh_tokens") == [{"stored": 3}]
        await rows(LATER)
        refused(await refresh(async_client, tokens[0]))
        tokens.append((await refresh(async_client, tokens[-1])).json()["refresh_token"])
        await rows(LATER)
        refused(await refresh(async_client, tokens[-2]))
        refused(await refresh(async_client, tokens[-1]))


class TestScheme:
    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c", "Bearer  "])
    async def test_malformed_authorization_is_401(self, async_client: httpx2.AsyncClient, header: str) -> None:
        assert_problem(await async_client.get("/api/v1/users/me", headers={"Authorization": header}), 401)

    async def test_token_scheme_is_a_setting(
        self, make_client: MakeClient, user_factory: UserFactory, sign_in: SignIn
    ) -> None:
        token = sign_in(await user_factory())["Authorization"].removeprefix("Bearer ")
        accepted = {"Bearer": {"Bearer"}, "Token": {"Token", "token", "Bearer"}}
        for scheme, headers in accepted.items():
            async with make_client(token_scheme=scheme) as client:
                for header in ("Bearer", "Token", "token", "Basic"):
                    response = await client.get("/api/v1/users/me", headers={"Authorization": f"{header} {token}"})
                    assert response.status_code == (200 if header in headers else 401)

    @pytest.mark.parametrize(
        ("scheme", "documented"),
        [
            ("bearer", {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": "/api/v1/auth/token"}}}),
            (
                "Token",
                {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Token ` and an access token",
                },
            ),
        ],
    )
    async def test_document_describes_the_token_scheme(
        self, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, scheme: str, documented: dict[str, Any]
    ) -> None:
        changed = Settings.current().model_copy(update={"token_scheme": scheme})
        monkeypatch.setattr(Settings, "current", lambda: changed)
        async with make_client(token_scheme=scheme) as client:
            document = (await client.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["token"] == documented
        assert document["paths"]["/api/v1/users/me"]["get"]["security"] == [{"token": []}, {"key": []}]

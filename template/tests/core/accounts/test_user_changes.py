"""HTTP tests that change, deactivate, filter and sort users."""

import time
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest

from app.core import ABOUT
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

ME = "/api/v1/users/me"
EMAIL = "ada@example.com"


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email=EMAIL)


async def log_in(client: httpx2.AsyncClient, password: str = PASSWORD, email: str = EMAIL) -> httpx2.Response:
    return await client.post(
        "/api/v1/auth/token", data={"grant_type": "password", "username": email, "password": password}
    )


class TestOwnAccount:
    async def test_name_and_address_change(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        before = (await async_client.get(ME, headers=sign_in(ada))).json()
        changed = await async_client.patch(ME, json={"name": " Countess "}, headers=sign_in(ada))
        assert changed.status_code == 200
        kept = {name: value for name, value in before.items() if name not in {"name", "updated_at"}}
        assert kept.items() <= changed.json().items()
        assert (changed.json()["name"], changed.json()["updated_at"] > before["updated_at"]) == ("Countess", True)
        moved = await async_client.patch(ME, json={"email": "Lovelace@EXAMPLE.com"}, headers=sign_in(ada))
        assert (moved.json()["email"], moved.json()["name"]) == ("Lovelace@example.com", "Countess")
        found = await async_client.get(ME, headers=sign_in(ada))
        assert (found.json(), found.headers["etag"]) == (moved.json(), moved.headers["etag"])
        assert (await log_in(async_client)).status_code == 400
        assert (await log_in(async_client, email="lovelace@example.com")).status_code == 200

    async def test_taken_address_is_409(
        self, async_client: httpx2.AsyncClient, ada: Any, user_factory: UserFactory, sign_in: SignIn
    ) -> None:
        await user_factory(email="grace@example.com")
        response = await async_client.patch(ME, json={"email": "GRACE@example.com"}, headers=sign_in(ada))
        assert assert_problem(response, 409)["type"] == "urn:problem-type:email-taken"
        own = await async_client.patch(ME, json={"email": EMAIL.upper()}, headers=sign_in(ada))
        assert own.status_code == 200

    @pytest.mark.parametrize(
        "body", [{"name": None}, {"email": None}, {"name": ""}, {"email": "ada"}, {"is_admin": True}, {"password": "x"}]
    )
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, body: dict[str, Any]
    ) -> None:
        response = await async_client.patch(ME, json=body, headers=sign_in(ada))
        assert pointers(response) == {f"/body/{name}" for name in body}

    async def test_stale_account_is_412(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        stale = (await async_client.get(ME, headers=sign_in(ada))).headers["etag"]
        await async_client.patch(ME, json={"name": "Countess"}, headers=sign_in(ada))
        headers = sign_in(ada) | {"If-Match": stale}
        assert_problem(await async_client.patch(ME, json={"name": "Ada"}, headers=headers), 412)

    async def test_log_in_keeps_the_etag(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        before = (await async_client.get(ME, headers=sign_in(ada))).headers["etag"]
        await log_in(async_client)
        assert (await async_client.get(ME, headers=sign_in(ada))).headers["etag"] == before

    async def test_inactive_user_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, accounts: Accounts
    ) -> None:
        await accounts.deactivate(ada)
        assert_problem(await async_client.patch(ME, json={}, headers=sign_in(ada)), 401)


class TestOwnPassword:
    URL = f"{ME}/password"
    NEW = {"current": PASSWORD, "new": "another good one"}

    async def test_new_password_ends_sessions(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn
    ) -> None:
        tokens = (await log_in(async_client)).json()
        changed = await async_client.put(self.URL, json=self.NEW, headers=sign_in(ada))
        assert (changed.status_code, changed.content) == (204, b"")
        body = {"refresh_token": tokens["refresh_token"]}
        assert_problem(await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body), 400)
        assert_problem(await log_in(async_client), 400)
        assert (await log_in(async_client, "another good one")).status_code == 200

    async def test_own_session_stays(self, async_client: httpx2.AsyncClient, ada: Any) -> None:
        mine, other = [(await log_in(async_client)).json() for _ in range(2)]
        headers = {"Authorization": f"Bearer {mine['access_token']}"}
        assert (await async_client.put(self.URL, json=self.NEW, headers=headers)).status_code == 204
        for tokens, status in ((other, 400), (mine, 200)):
            form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            assert (await async_client.post("/api/v1/auth/token", data=form)).status_code == status

    async def test_message_tells_of_the_change(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, messages: list[EmailMessage]
    ) -> None:
        await async_client.put(self.URL, json=self.NEW | {"current": "wrong password"}, headers=sign_in(ada))
        assert messages == []
        await async_client.put(self.URL, json=self.NEW, headers=sign_in(ada))
        sent = [(str(message["To"]), message["Subject"]) for message in messages]
        assert sent == [(f"Ada <{EMAIL}>", f"Your password for {ABOUT.title} has changed")]

    async def test_wrong_password_is_403(self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn) -> None:
        body = self.NEW | {"current": "wrong password"}
        assert_problem(await async_client.put(self.URL, json=body, headers=sign_in(ada)), 403)
        assert (await log_in(async_client)).status_code == 200

    @pytest.mark.parametrize(("field", "value"), [("new", "seven77"), ("new", "Password1"), ("current", ""), ("x", 1)])
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, ada: Any, sign_in: SignIn, field: str, value: object
    ) -> None:
        response = await async_client.put(self.URL, json=self.NEW | {field: value}, headers=sign_in(ada))
        assert pointers(response) == {f"/body/{field}"}

    async def test_guessing_is_limited(self, make_client: MakeClient, ada: Any, sign_in: SignIn) -> None:
        async with make_client(login_rate="2/minute") as client:
            body = self.NEW | {"current": "wrong password"}
            statuses = [(await client.put(self.URL, json=body, headers=sign_in(ada))).status_code for _ in range(3)]
        assert statuses == [403, 403, 429]

    async def test_provider_accounts_have_no_password(self, make_client: MakeClient) -> None:
        async with make_client(jwt_issuer="http://127.0.0.1:9", jwt_audience="service") as client:
            assert (await client.put(self.URL, json=self.NEW)).status_code in {401, 404}


class TestRights:
    @pytest.mark.usefixtures("editor")
    async def test_roles_are_replaced(self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers) -> None:
        path = f"/api/v1/users/{ada.id}"
        before = (await async_client.get(path, headers=admin)).headers["etag"]
        headers = admin | {"If-Match": before}
        given = await async_client.patch(path, json={"roles": ["editor", "editor"]}, headers=headers)
        assert (given.status_code, given.json()["roles"]) == (200, ["editor"])
        assert_problem(await async_client.patch(path, json={"roles": []}, headers=headers), 412)
        assert (await async_client.get(path, headers=admin)).headers["etag"] == given.headers["etag"]
        taken = await async_client.patch(path, json={"roles": []}, headers=admin)
        assert taken.json()["roles"] == []

    async def test_user_becomes_admin_and_back(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers
    ) -> None:
        for value in (True, False):
            changed = await async_client.patch(f"/api/v1/users/{ada.id}", json={"is_admin": value}, headers=admin)
            assert changed.json()["is_admin"] is value

    async def test_user_is_deactivated_and_activated(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, listen: Listen
    ) -> None:
        ended: list[int] = []
        listen("deactivated", lambda user: ended.append(user.id))
        for value, status in ((False, 400), (True, 200)):
            changed = await async_client.patch(f"/api/v1/users/{ada.id}", json={"is_active": value}, headers=admin)
            assert changed.json()["is_active"] is value
            assert (await log_in(async_client)).status_code == status
        assert ended == [ada.id]

    @pytest.mark.parametrize(
        "body",
        [{"is_active": None}, {"is_active": "false"}, {"roles": None}, {"roles": ["unknown"]}, {"name": "Ada"}],
    )
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, body: dict[str, Any]
    ) -> None:
        response = await async_client.patch(f"/api/v1/users/{ada.id}", json=body, headers=admin)
        assert pointers(response) == {f"/body/{name}" for name in body}

    async def test_unknown_user_is_404(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        assert_problem(await async_client.patch("/api/v1/users/999999", json={}, headers=admin), 404)
        assert_problem(await async_client.delete("/api/v1/users/999999", headers=admin), 404)

    @pytest.mark.usefixtures("editor")
    async def test_only_a_lost_right_ends_tokens(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers
    ) -> None:
        path, headers = f"/api/v1/users/{ada.id}", {"Authorization": ""}
        headers["Authorization"] = f"Bearer {(await log_in(async_client)).json()['access_token']}"
        for body in ({"roles": ["editor"]}, {"roles": ["editor"]}, {"is_admin": True}, {"is_active": True}):
            assert (await async_client.patch(path, json=body, headers=admin)).status_code == 200
            assert (await async_client.get(ME, headers=headers)).status_code == 200, body
        await async_client.patch(path, json={"roles": []}, headers=admin)
        assert_problem(await async_client.get(ME, headers=headers), 401)

    @pytest.mark.usefixtures("editor")
    async def test_change_without_effect_keeps_the_etag(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, sign_in: SignIn
    ) -> None:
        path = f"/api/v1/users/{ada.id}"
        given = await async_client.patch(path, json={"roles": ["editor"]}, headers=admin)
        before = await async_client.get(path, headers=admin)
        assert given.headers["etag"] == before.headers["etag"]
        rights: list[dict[str, Any]] = [{}, {"roles": ["editor"]}, {"is_admin": False}, {"is_active": True}]
        for body in rights:
            assert (await async_client.patch(path, json=body, headers=admin)).status_code == 200
        for own in ({}, {"name": "Ada"}, {"email": EMAIL}):
            assert (await async_client.patch(ME, json=own, headers=sign_in(ada))).status_code == 200
        after = await async_client.get(path, headers=admin)
        assert (after.headers["etag"], after.json()) == (before.headers["etag"], before.json())

    async def test_last_admin_stays(
        self, async_client: httpx2.AsyncClient, admin: Headers, user_factory: UserFactory, accounts: Accounts
    ) -> None:
        own = (await async_client.get(ME, headers=admin)).json()["id"]
        path = f"/api/v1/users/{own}"
        other = await user_factory(is_superuser=True)
        await accounts.deactivate(other)  # an inactive admin does not count
        for body in ({"is_admin": False}, {"is_active": False}):
            problem = assert_problem(await async_client.patch(path, json=body, headers=admin), 409)
            assert problem["type"] == "urn:problem-type:last-admin"
        assert_problem(await async_client.delete(path, headers=admin), 409)
        assert (await async_client.get(path, headers=admin)).json()["is_active"] is True
        await accounts.activate(other)
        assert (await async_client.patch(path, json={"is_admin": False}, headers=admin)).status_code == 200


class TestRevokedToken:
    """An access token is refused at the next request after the change, not after its lifetime."""

    @pytest.fixture
    async def token(self, async_client: httpx2.AsyncClient, ada: Any) -> Headers:
        headers = {"Authorization": f"Bearer {(await log_in(async_client)).json()['access_token']}"}
        assert (await async_client.get(ME, headers=headers)).status_code == 200
        return headers

    async def test_token_of_deactivated_user_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, token: Headers
    ) -> None:
        path = f"/api/v1/users/{ada.id}"
        assert (await async_client.get(path, headers=token)).status_code == 200
        await async_client.delete(path, headers=admin)
        assert_problem(await async_client.get(path, headers=token), 401)
        await async_client.patch(path, json={"is_active": True}, headers=admin)
        assert_problem(await async_client.get(path, headers=token), 401)
        fresh = (await log_in(async_client)).json()["access_token"]
        headers = {"Authorization": f"Bearer {fresh}"}
        assert (await async_client.get(path, headers=headers)).status_code == 200

    async def test_token_with_the_old_password_is_401(self, async_client: httpx2.AsyncClient, token: Headers) -> None:
        body = {"current": PASSWORD, "new": "another good one"}
        assert (await async_client.put(f"{ME}/password", json=body, headers=token)).status_code == 204
        assert_problem(await async_client.get(ME, headers=token), 401)
        fresh = (await log_in(async_client, "another good one")).json()["access_token"]
        assert (await async_client.get(ME, headers={"Authorization": f"Bearer {fresh}"})).status_code == 200

    @pytest.mark.usefixtures("editor")
    @pytest.mark.parametrize(
        ("given", "taken"), [({"is_admin": True}, {"is_admin": False}), ({"roles": ["editor"]}, {"roles": []})]
    )
    async def test_token_of_demoted_user_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers, given: dict[str, Any], taken: dict[str, Any]
    ) -> None:
        path = f"/api/v1/users/{ada.id}"
        await async_client.patch(path, json=given, headers=admin)
        headers = {"Authorization": f"Bearer {(await log_in(async_client)).json()['access_token']}"}
        assert (await async_client.get(ME, headers=headers)).status_code == 200
        await async_client.patch(path, json=taken, headers=admin)
        assert_problem(await async_client.get(ME, headers=headers), 401)

    async def test_other_process_refuses_within_a_second(
        self,
        async_client: httpx2.AsyncClient,
        ada: Any,
        token: Headers,
        accounts: Accounts,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        now = [time.monotonic()]
        monkeypatch.setattr("app.core.security.tokens.time.monotonic", lambda: now[0])
        path = f"/api/v1/users/{ada.id}"
        now[0] += 2
        assert (await async_client.get(path, headers=token)).status_code == 200
        await accounts.deactivate(ada)  # like another process: this one keeps its list
        assert (await async_client.get(path, headers=token)).status_code == 200
        now[0] += 1
        assert_problem(await async_client.get(path, headers=token), 401)


class TestDeletedUser:
    """The user is deleted after the check of the token."""

    @pytest.mark.parametrize(
        ("route", "body"),
        [
            (f"GET {ME}", None),
            ("GET /api/v1/users/{id}", None),
            (f"PATCH {ME}", {"name": "Ada"}),
            (f"PUT {ME}/password", {"current": PASSWORD, "new": "another good one"}),
            ("GET /api/v1/auth/sessions", None),
            ("DELETE /api/v1/auth/sessions", None),
        ],
    )
    async def test_request_is_401(
        self, async_client: httpx2.AsyncClient, ada: Any, rows: Rows, route: str, body: Any
    ) -> None:
        headers = {"Authorization": f"Bearer {(await log_in(async_client)).json()['access_token']}"}
        assert (await async_client.get(ME, headers=headers)).status_code == 200
        for deletion in ("refresh_tokens", "user_sessions", f"users WHERE id = {ada.id}"):
            await rows(f"DELETE FROM {deletion} RETURNING id")
        method, path = route.format(id=ada.id).split()
        response = await async_client.request(method, path, json=body, headers=headers)
        assert_problem(response, 401)


class TestDeactivation:
    async def test_deactivated_user_cannot_log_in(
        self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers
    ) -> None:
        tokens = (await log_in(async_client)).json()
        path = f"/api/v1/users/{ada.id}"
        for _ in range(2):
            response = await async_client.delete(path, headers=admin)
            assert (response.status_code, response.content) == (204, b"")
        assert_problem(await log_in(async_client), 400)
        body = {"refresh_token": tokens["refresh_token"]}
        assert_problem(await async_client.post("/api/v1/auth/token", data={"grant_type": "refresh_token"} | body), 400)
        found = (await async_client.get(path, headers=admin)).json()
        assert (found["is_active"], found["name"]) == (False, "Ada")

    async def test_stale_user_is_412(self, async_client: httpx2.AsyncClient, ada: Any, admin: Headers) -> None:
        headers = admin | {"If-Match": '"stale"'}
        assert_problem(await async_client.delete(f"/api/v1/users/{ada.id}", headers=headers), 412)


@pytest.mark.usefixtures("editor")
async def test_users_are_filtered_and_sorted(
    async_client: httpx2.AsyncClient, admin: Headers, user_factory: UserFactory, accounts: Accounts
) -> None:
    ada = await user_factory(name="Ada 100%", email="z@example.com")
    grace = await user_factory(name="Grace", email="grace@example.com")
    await accounts.give_role(ada, "editor")
    await accounts.deactivate(grace)
    found: list[tuple[dict[str, str], list[str]]] = [
        ({"q": "ADA"}, ["Ada 100%"]),
        ({"q": "%"}, ["Ada 100%"]),
        ({"q": "_"}, []),
        ({"q": "grace@"}, ["Grace"]),
        ({"is_active": "false"}, ["Grace"]),
        ({"role": "editor"}, ["Ada 100%"]),
        ({"role": "unknown"}, []),
        ({"sort": "-name"}, ["Grace", "Admin", "Ada 100%"]),
        ({"sort": "email", "is_active": "true"}, ["Admin", "Ada 100%"]),
    ]
    for query, names in found:
        page = (await async_client.get("/api/v1/users", params=query, headers=admin)).json()
        assert ([user["name"] for user in page["items"]], page["total"]) == (names, len(names)), query
    [user] = (await async_client.get("/api/v1/users", params={"q": "ada"}, headers=admin)).json()["items"]
    assert user["roles"] == ["editor"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"sort": "password"}, "/query/sort"),
        ({"password": "x"}, "/query/password"),
        ({"is_active": "x"}, "/query/is_active"),
    ],
)
async def test_unknown_filter_is_422(
    async_client: httpx2.AsyncClient, admin: Headers, query: dict[str, str], pointer: str
) -> None:
    assert pointers(await async_client.get("/api/v1/users", params=query, headers=admin)) == {pointer}

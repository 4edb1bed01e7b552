"""HTTP tests of `/api/v1/invitations`, and of registrations with an invitation."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest

from app.core.security.bearer import ADMIN
from app.core.security.tokens import LocalTokens
from app.core.testing import PASSWORD, Headers, MakeClient, Rows, assert_problem, pointers

URL = "/api/v1/invitations"
ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


async def invite(client: httpx2.AsyncClient, admin: Headers, **body: Any) -> dict[str, Any]:
    response = await client.post(URL, json=body, headers=admin)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def register(client: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await client.post("/api/v1/users", json=ADA | changes)


def token_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body
    [token] = re.findall(r"^[\w-]{43}$", body.get_content(), re.MULTILINE)
    return str(token)


@pytest.fixture
def make_invitation(committing_async_client: httpx2.AsyncClient, settings: Any) -> Callable[[], Awaitable[str]]:
    """Create an invitation with a commit; return its token."""
    admin = {"Authorization": f"Bearer {LocalTokens(settings).issue('1', {ADMIN})}"}  # not in the database

    async def make() -> str:
        return str((await invite(committing_async_client, admin))["token"])

    return make


class TestInvitation:
    async def test_token_is_shown_once(self, async_client: httpx2.AsyncClient, admin: Headers, rows: Rows) -> None:
        created = await invite(async_client, admin)
        assert (created["email"], created["roles"]) == (None, [])
        token = created.pop("token")
        assert (await async_client.get(URL, headers=admin)).json()["items"] == [created]
        assert token not in str(await rows("SELECT * FROM invitations"))

    async def test_message_has_the_token(
        self, async_client: httpx2.AsyncClient, admin: Headers, messages: list[EmailMessage]
    ) -> None:
        created = await invite(async_client, admin, email="Ada@EXAMPLE.com")
        assert (created["email"], created["token"]) == ("Ada@example.com", None)
        [message] = messages
        assert message["To"] == "Ada@example.com"
        assert (await register(async_client, invitation=token_of(message))).status_code == 201

    async def test_withdrawn_invitation_is_403(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        created = await invite(async_client, admin)
        path = f"{URL}/{created['id']}"
        assert (await async_client.delete(path, headers=admin)).status_code == 204
        assert_problem(await async_client.delete(path, headers=admin), 404)
        assert_problem(await register(async_client, invitation=created["token"]), 403)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("email", "ada"), ("roles", ["unknown"]), ("roles", None), ("expires_at", "2026-01-31T12:00:00Z"), ("x", 1)],
    )
    async def test_invalid_field_is_422(
        self, async_client: httpx2.AsyncClient, admin: Headers, field: str, value: object
    ) -> None:
        assert pointers(await async_client.post(URL, json={field: value}, headers=admin)) == {f"/body/{field}"}

    async def test_expired_invitation_is_403(
        self, async_client: httpx2.AsyncClient, admin: Headers, rows: Rows
    ) -> None:
        created = await invite(async_client, admin)
        await rows("UPDATE invitations SET expires_at = now() RETURNING id")
        assert (await async_client.get(URL, headers=admin)).json()["items"] == []
        assert_problem(await register(async_client, invitation=created["token"]), 403)


class TestRegistration:
    async def test_only_invited_users_register(self, make_client: MakeClient, admin: Headers) -> None:
        async with make_client(registration="invited") as client:
            assert assert_problem(await register(client), 403)["type"] == "urn:problem-type:not-invited"
            token = (await invite(client, admin))["token"]
            assert (await register(client, invitation=token)).status_code == 201
            second = {"email": "eve@example.com", "invitation": token}
            assert_problem(await register(client, **second), 403)

    async def test_closed_registration_refuses_invitations(self, make_client: MakeClient, admin: Headers) -> None:
        async with make_client(registration="closed") as client:
            assert_problem(await register(client, invitation=(await invite(client, admin))["token"]), 403)

    @pytest.mark.usefixtures("editor")
    async def test_invitation_gives_roles(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        token = (await invite(async_client, admin, roles=["editor"]))["token"]
        user = (await register(async_client, invitation=token)).json()
        listed = (await async_client.get("/api/v1/users", params={"role": "editor"}, headers=admin)).json()["items"]
        assert [(found["id"], found["is_admin"]) for found in listed] == [(user["id"], False)]

    async def test_other_address_is_403(
        self, async_client: httpx2.AsyncClient, admin: Headers, messages: list[EmailMessage]
    ) -> None:
        await invite(async_client, admin, email="grace@example.com")
        assert_problem(await register(async_client, invitation=token_of(messages[0])), 403)

    async def test_taken_address_keeps_the_invitation(
        self, committing_async_client: httpx2.AsyncClient, make_invitation: Callable[[], Awaitable[str]]
    ) -> None:
        client, token = committing_async_client, await make_invitation()
        assert (await register(client)).status_code == 201
        assert_problem(await register(client, invitation=token), 409)
        assert (await register(client, email="eve@example.com", invitation=token)).status_code == 201

    async def test_concurrent_registrations_use_invitation_once(
        self, committing_async_client: httpx2.AsyncClient, make_invitation: Callable[[], Awaitable[str]]
    ) -> None:
        token = await make_invitation()
        names = [f"user{number}@example.com" for number in range(3)]
        sent = (register(committing_async_client, email=name, invitation=token) for name in names)
        statuses = [response.status_code for response in await asyncio.gather(*sent)]
        assert sorted(statuses) == [201, 403, 403]

    @pytest.mark.usefixtures("editor")
    async def test_verification_uses_the_invitation(
        self, make_client: MakeClient, admin: Headers, messages: list[EmailMessage], rows: Rows
    ) -> None:
        async with make_client(registration="invited", verify_email=True) as client:
            token = (await invite(client, admin, roles=["editor"]))["token"]
            assert_problem(await register(client), 403)
            for email in ("mistyped@example.com", "ada@example.com"):
                assert (await register(client, email=email, invitation=token)).status_code == 202
            tokens = [token_of(message) for message in messages]
            verify = "/api/v1/auth/verify-email"
            assert (await client.post(verify, json={"token": tokens[1]})).status_code == 204
            assert_problem(await client.post(verify, json={"token": tokens[0]}), 422)
            listed = (await client.get("/api/v1/users", params={"role": "editor"}, headers=admin)).json()["items"]
            assert [found["email"] for found in listed] == ["ada@example.com"]
            assert await rows("SELECT id FROM invitations") == []

"""HTTP tests of `/api/v1/auth/password-reset`."""

from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest

from app.core.accounts.email import timing
from app.core.testing import PASSWORD, Accounts, MakeClient, Rows, SignIn, UserFactory, assert_problem, pointers

URL = "/api/v1/auth/password-reset"
EMAIL = "ada@example.com"
NEW = "another good one"

Tokens = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "MINIMUM_SECONDS", 0)


@pytest.fixture
async def ada(user_factory: UserFactory) -> Any:
    return await user_factory(name="Ada", email=EMAIL)


@pytest.fixture
def tokens(messages: list[EmailMessage]) -> Tokens:
    """Return the tokens of all reset messages, the latest last."""

    def tokens() -> list[str]:
        texts = [part.get_content() for message in messages if (part := message.get_body(("plain",)))]
        return [text.splitlines()[4] for text in texts if "reset your password" in text]

    return tokens


async def ask(client: httpx2.AsyncClient, email: str = EMAIL) -> httpx2.Response:
    return await client.post(URL, json={"email": email})


async def confirm(client: httpx2.AsyncClient, token: str, password: str = NEW) -> httpx2.Response:
    return await client.post(f"{URL}/confirm", json={"token": token, "password": password})


async def log_in(client: httpx2.AsyncClient, password: str) -> httpx2.Response:
    form = {"grant_type": "password", "username": EMAIL, "password": password}
    return await client.post("/api/v1/auth/token", data=form)


def refused(response: httpx2.Response) -> None:
    assert pointers(response) == {"/body/token"}


async def test_token_of_the_message_sets_the_password(
    async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens, messages: list[EmailMessage], sign_in: SignIn
) -> None:
    session, token = (await log_in(async_client, PASSWORD)).json(), sign_in(ada)
    asked = await ask(async_client, EMAIL.upper())
    assert (asked.status_code, asked.content) == (202, b"")
    assert str(messages[-1]["To"]) == f"Ada <{EMAIL}>"
    assert messages[-1].get_body(("html",))
    confirmed = await confirm(async_client, *tokens())
    assert (confirmed.status_code, confirmed.content) == (204, b"")
    assert_problem(await log_in(async_client, PASSWORD), 400)
    assert (await log_in(async_client, NEW)).status_code == 200
    form = {"grant_type": "refresh_token", "refresh_token": session["refresh_token"]}
    assert_problem(await async_client.post("/api/v1/auth/token", data=form), 400)
    for headers in (token, {"Authorization": f"Bearer {session['access_token']}"}):
        assert_problem(await async_client.get("/api/v1/users/me", headers=headers), 401)


async def test_unknown_address_answers_alike(
    async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens, accounts: Accounts, rows: Rows
) -> None:
    known = await ask(async_client)
    unknown = await ask(async_client, "unknown@example.com")
    await accounts.deactivate(ada)
    inactive = await ask(async_client)
    assert {(answer.status_code, answer.content) for answer in (known, unknown, inactive)} == {(202, b"")}
    assert len(tokens()) == 1
    refused(await confirm(async_client, *tokens()))
    assert await rows("SELECT * FROM email_tokens") == []


async def test_unknown_address_takes_as_long(
    async_client: httpx2.AsyncClient, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waited = [100.0], []

    async def sleep_async(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(timing, "MINIMUM_SECONDS", 5)
    monkeypatch.setattr(timing, "monotonic", lambda: clock[0])
    monkeypatch.setattr(timing, "sleep", waited.append)
    monkeypatch.setattr(timing, "sleep_async", sleep_async)
    for email in (EMAIL, "unknown@example.com"):
        assert (await ask(async_client, email)).status_code == 202
    assert waited == [5, 5]


async def test_token_is_valid_once(async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens) -> None:
    await ask(async_client)
    await ask(async_client)
    first, second = tokens()
    assert (await confirm(async_client, second)).status_code == 204
    refused(await confirm(async_client, second, "a third good one"))
    refused(await confirm(async_client, first, "a third good one"))
    assert (await log_in(async_client, NEW)).status_code == 200


async def test_token_expires_after_30_minutes(
    async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens, rows: Rows
) -> None:
    await ask(async_client)
    [row] = await rows("SELECT expires_at - now() AS left FROM email_tokens")
    assert row["left"].total_seconds() == pytest.approx(1800, abs=1)
    await rows("UPDATE email_tokens SET expires_at = now() RETURNING id")
    refused(await confirm(async_client, *tokens()))
    await rows("UPDATE email_tokens SET expires_at = now() - interval '1 second' RETURNING id")
    await ask(async_client)
    assert await rows("SELECT count(*) AS stored FROM email_tokens") == [{"stored": 1}]


async def test_token_is_stored_as_digest(
    async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens, rows: Rows
) -> None:
    await ask(async_client)
    [token] = tokens()
    assert len(token) == 43
    assert token not in str(await rows("SELECT * FROM email_tokens"))


@pytest.mark.parametrize("change", ["password", "deactivated"])
async def test_token_ends_with_a_change_of_the_account(
    async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens, accounts: Accounts, change: str
) -> None:
    await ask(async_client)
    if change == "password":
        await accounts.set_password(ada, "a third good one")
    else:
        await accounts.deactivate(ada)
        await accounts.activate(ada)
    refused(await confirm(async_client, *tokens()))


async def test_token_ends_with_a_change_of_the_address(
    async_client: httpx2.AsyncClient, ada: Any, tokens: Tokens, sign_in: SignIn
) -> None:
    await ask(async_client)
    body = {"email": "lovelace@example.com"}
    assert (await async_client.patch("/api/v1/users/me", json=body, headers=sign_in(ada))).is_success
    refused(await confirm(async_client, *tokens()))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"token": "x", "password": "seven77"}, "/body/password"),
        ({"token": "x", "password": "Password1"}, "/body/password"),
        ({"token": "", "password": NEW}, "/body/token"),
        ({"token": "x\x00", "password": NEW}, "/body/token"),
        ({"token": 1, "password": NEW}, "/body/token"),
        ({"token": "x", "password": NEW, "email": EMAIL}, "/body/email"),
    ],
)
async def test_invalid_confirmation_is_422(
    async_client: httpx2.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    assert pointers(await async_client.post(f"{URL}/confirm", json=body)) == {pointer}


async def test_invalid_address_is_422(async_client: httpx2.AsyncClient) -> None:
    assert pointers(await ask(async_client, "ada")) == {"/body/email"}


async def test_forged_host_does_not_change_the_link(
    async_client: httpx2.AsyncClient, ada: Any, messages: list[EmailMessage]
) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "Referer": "https://evil.example"}
    await async_client.post(URL, json={"email": EMAIL}, headers=headers | {"Origin": "https://evil.example"})
    assert "evil" not in messages[-1].as_string()


class TestRateLimit:
    async def test_requests_for_one_address(self, make_client: MakeClient) -> None:
        async with make_client(email_rate="2/hour") as client:
            assert [(await ask(client, email)).status_code for email in (EMAIL, EMAIL.upper(), EMAIL)] == [
                202,
                202,
                429,
            ]
            assert (await ask(client, "grace@example.com")).status_code == 202

    async def test_requests_of_one_client(self, make_client: MakeClient) -> None:
        async with make_client(email_address_rate="2/hour") as client:
            answers = [(await ask(client, f"user{number}@example.com")).status_code for number in range(3)]
        assert answers == [202, 202, 429]

    async def test_guesses_of_tokens(self, make_client: MakeClient) -> None:
        async with make_client(login_address_rate="2/minute") as client:
            assert [(await confirm(client, "x")).status_code for _ in "123"] == [422, 422, 429]


async def test_identity_provider_has_no_reset(make_client: MakeClient) -> None:
    async with make_client(jwt_issuer="http://127.0.0.1:9", jwt_audience="service") as client:
        assert_problem(await ask(client), 404)
        assert_problem(await confirm(client, "x"), 404)

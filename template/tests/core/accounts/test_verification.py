"""HTTP tests of VERIFY_EMAIL and of `/api/v1/auth/verify-email`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage

import httpx2
import pytest

from app.core.accounts.email import timing
from app.core.security.tokens import digest
from app.core.testing import (
    PASSWORD,
    Execute,
    Listen,
    MakeClient,
    Rows,
    SignIn,
    UserFactory,
    assert_problem,
    pointers,
)

URL = "/api/v1/auth/verify-email"
ME = "/api/v1/users/me"
EMAIL = "ada@example.com"
NEW = "lovelace@example.com"
ADA = {"name": "Ada", "email": EMAIL, "password": PASSWORD}

Sent = Callable[[], list[tuple[str, str]]]


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "MINIMUM_SECONDS", 0)


@pytest.fixture
async def client(make_client: MakeClient) -> AsyncIterator[httpx2.AsyncClient]:
    async with make_client(verify_email=True) as client:
        yield client


@pytest.fixture
def sent(messages: list[EmailMessage]) -> Sent:
    """Return recipient and token of all messages of core, the latest last. The token is "" if there is none."""

    def sent() -> list[tuple[str, str]]:
        found = []
        for message in messages:
            subject, body = str(message["Subject"]), message.get_body(("plain",))
            if subject.startswith("Confirm") and body:
                found.append((str(message["To"]), body.get_content().splitlines()[4]))
            elif "already" in subject or "changed" in subject:
                found.append((str(message["To"]).rpartition("<")[2].rstrip(">"), ""))
        return found

    return sent


async def register(client: httpx2.AsyncClient, **changes: str) -> httpx2.Response:
    return await client.post("/api/v1/users", json=ADA | changes)


async def verify(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post(URL, json={"token": token})


async def resend(client: httpx2.AsyncClient, email: str = EMAIL) -> httpx2.Response:
    return await client.post(f"{URL}/resend", json={"email": email})


async def log_in(client: httpx2.AsyncClient, email: str = EMAIL, password: str = PASSWORD) -> int:
    form = {"grant_type": "password", "username": email, "password": password}
    return (await client.post("/api/v1/auth/token", data=form)).status_code


def refused(response: httpx2.Response) -> None:
    assert pointers(response) == {"/body/token"}


class TestRegistration:
    async def test_account_begins_with_the_token(
        self, client: httpx2.AsyncClient, sent: Sent, listen: Listen, rows: Rows
    ) -> None:
        events: list[str] = []
        listen("registered", lambda user: events.append(user.email))
        response = await register(client)
        assert (response.status_code, response.content, "location" in response.headers) == (202, b"", False)
        assert await log_in(client) == 400
        assert (events, await rows("SELECT * FROM users")) == ([], [])
        [(to, token)] = sent()
        assert (to, len(token)) == (EMAIL, 43)
        stored = str(await rows("SELECT * FROM email_tokens"))
        assert token not in stored
        assert PASSWORD not in stored
        verified = await verify(client, token)
        assert (verified.status_code, verified.content) == (204, b"")
        assert events == [EMAIL]
        assert await log_in(client) == 200
        refused(await verify(client, token))

    async def test_taken_address_answers_alike(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sent: Sent
    ) -> None:
        await user_factory(email=EMAIL)
        taken, free = await register(client, email=EMAIL.upper()), await register(client, email=NEW)
        assert {(answer.status_code, answer.content) for answer in (taken, free)} == {(202, b"")}
        assert set(taken.headers) == set(free.headers)
        [(first, nothing), (second, token)] = sent()
        assert (first.lower(), nothing, second) == (EMAIL, "", NEW)
        assert token

    async def test_taken_address_takes_the_same_statements(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, statements: list[str]
    ) -> None:
        await user_factory(email=EMAIL)
        counts = []
        for email in (EMAIL, NEW):
            statements.clear()
            await register(client, email=email)
            counts.append(len(statements))
        assert counts[0] == counts[1]

    async def test_address_taken_meanwhile_is_refused(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sent: Sent
    ) -> None:
        await register(client)
        await user_factory(email=EMAIL, password="another good one")
        refused(await verify(client, sent()[-1][1]))
        assert await log_in(client) == 400
        assert await log_in(client, password="another good one") == 200

    @pytest.mark.parametrize("confirmed", [0, 1])
    async def test_other_registrations_of_the_address_end(
        self, client: httpx2.AsyncClient, sent: Sent, rows: Rows, confirmed: int
    ) -> None:
        """The account has the password of the confirmed registration. The others are void, also for a free address."""
        passwords = [PASSWORD, "another good one"]
        for email, password in zip((EMAIL, EMAIL.upper()), passwords, strict=True):
            await register(client, email=email, password=password)
        tokens = [token for _, token in sent()]
        assert (await verify(client, tokens.pop(confirmed))).status_code == 204
        assert [await log_in(client, password=password) for password in passwords] == [
            200 if number == confirmed else 400 for number in (0, 1)
        ]
        assert await rows("SELECT * FROM email_tokens") == []
        await rows(f"UPDATE users SET email = '{NEW}' RETURNING id")
        refused(await verify(client, *tokens))

    async def test_token_expires_after_a_day(self, client: httpx2.AsyncClient, sent: Sent, rows: Rows) -> None:
        await register(client)
        [row] = await rows("SELECT expires_at - now() AS left FROM email_tokens")
        assert row["left"].total_seconds() == pytest.approx(86_400, abs=5)
        await rows("UPDATE email_tokens SET expires_at = now() RETURNING id")
        refused(await verify(client, sent()[-1][1]))

    async def test_invalid_body_is_422(self, client: httpx2.AsyncClient) -> None:
        assert pointers(await register(client, password="Password1")) == {"/body/password"}
        assert pointers(await register(client, email="ada")) == {"/body/email"}

    async def test_closed_registration_is_403(self, make_client: MakeClient) -> None:
        async with make_client(verify_email=True, registration="closed") as client:
            assert_problem(await register(client), 403)

    async def test_pending_registration_waits_while_closed(
        self, client: httpx2.AsyncClient, make_client: MakeClient, sent: Sent
    ) -> None:
        await register(client)
        [(_, token)] = sent()
        async with make_client(verify_email=True, registration="closed") as closed:
            assert_problem(await verify(closed, token), 403)
            refused(await verify(closed, "x"))
            assert (await resend(closed)).status_code == 202
        assert len(sent()) == 1
        assert await log_in(client) == 400
        assert (await verify(client, token)).status_code == 204

    async def test_setting_is_off_by_default(self, async_client: httpx2.AsyncClient, sent: Sent) -> None:
        assert (await register(async_client)).status_code == 201
        assert sent() == []


class TestNewAddress:
    @pytest.mark.parametrize("end", ["password", "sessions", "current address"])
    async def test_request_ends_with_the_account_secured(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent, end: str
    ) -> None:
        """A request for another address, made with a stolen access token."""
        headers = sign_in(await user_factory(name="Ada", email=EMAIL))
        await client.patch(ME, json={"email": NEW}, headers=headers)
        if end == "password":
            body = {"current": PASSWORD, "new": "another good one"}
            assert (await client.put(f"{ME}/password", json=body, headers=headers)).status_code == 204
        elif end == "sessions":
            assert (await client.delete("/api/v1/auth/sessions", headers=headers)).status_code == 204
        else:
            assert (await client.patch(ME, json={"email": EMAIL}, headers=headers)).status_code == 200
            assert [to for to, _ in sent()] == [NEW], "no message to the current address"
        refused(await verify(client, sent()[0][1]))

    async def test_former_address_gets_a_message(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent
    ) -> None:
        headers = sign_in(await user_factory(name="Ada", email=EMAIL))
        assert (await async_client.patch(ME, json={"name": "Countess"}, headers=headers)).status_code == 200
        assert sent() == []
        assert (await async_client.patch(ME, json={"email": NEW}, headers=headers)).status_code == 200
        assert sent() == [(EMAIL, "")]

    async def test_address_counts_once_verified(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent
    ) -> None:
        headers = sign_in(await user_factory(name="Ada", email=EMAIL))
        changed = await client.patch(ME, json={"name": "Countess", "email": NEW}, headers=headers)
        assert (changed.status_code, changed.json()["email"], changed.json()["name"]) == (200, EMAIL, "Countess")
        assert (await log_in(client), await log_in(client, NEW)) == (200, 400)
        [(to, token)] = sent()
        assert to == NEW
        assert (await verify(client, token)).status_code == 204
        assert (await client.get(ME, headers=headers)).json()["email"] == NEW
        refused(await verify(client, token))
        assert sent()[-1] == (EMAIL, ""), "a message to the former address says so"
        assert (await log_in(client), await log_in(client, NEW)) == (400, 200)

    async def test_taken_address_answers_alike(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent
    ) -> None:
        headers = sign_in(await user_factory(email=EMAIL))
        await user_factory(email="grace@example.com")
        taken = await client.patch(ME, json={"email": "grace@example.com"}, headers=headers)
        free = await client.patch(ME, json={"email": NEW}, headers=headers)
        assert (taken.status_code, free.status_code) == (200, 200)
        assert taken.json() == free.json()
        assert [bool(token) for _, token in sent()] == [False, True]

    async def test_only_the_last_request_counts(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent
    ) -> None:
        headers = sign_in(await user_factory(email=EMAIL))
        for email in (NEW, "countess@example.com"):
            await client.patch(ME, json={"email": email}, headers=headers)
        [(_, first), (_, second)] = sent()
        refused(await verify(client, first))
        assert (await verify(client, second)).status_code == 204

    async def test_own_address_in_other_case_is_verified(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent
    ) -> None:
        headers = sign_in(await user_factory(email=EMAIL))
        await client.patch(ME, json={"email": "ADA@example.com"}, headers=headers)
        assert (await verify(client, sent()[-1][1])).status_code == 204
        assert (await client.get(ME, headers=headers)).json()["email"] == "ADA@example.com"

    async def test_registrations_of_the_address_end(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent, rows: Rows
    ) -> None:
        await register(client, email=NEW)
        headers = sign_in(await user_factory(email=EMAIL))
        await client.patch(ME, json={"email": NEW}, headers=headers)
        [(_, registration), (_, change)] = sent()
        assert (await verify(client, change)).status_code == 204
        assert await rows("SELECT * FROM email_tokens") == []
        refused(await verify(client, registration))

    async def test_address_changes_while_registration_is_closed(
        self, make_client: MakeClient, user_factory: UserFactory, sign_in: SignIn, sent: Sent
    ) -> None:
        headers = sign_in(await user_factory(email=EMAIL))
        async with make_client(verify_email=True, registration="closed") as client:
            await client.patch(ME, json={"email": NEW}, headers=headers)
            await resend(client, NEW)
            assert (await verify(client, sent()[-1][1])).status_code == 204

    async def test_reset_token_verifies_nothing(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, messages: list[EmailMessage]
    ) -> None:
        await user_factory(email=EMAIL)
        await client.post("/api/v1/auth/password-reset", json={"email": EMAIL})
        body = messages[-1].get_body(("plain",))
        assert body
        refused(await verify(client, body.get_content().splitlines()[4]))

    @pytest.mark.parametrize("verifies", [True, False])
    async def test_guessing_taken_addresses_is_limited(
        self, make_client: MakeClient, user_factory: UserFactory, sign_in: SignIn, *, verifies: bool
    ) -> None:
        headers = sign_in(await user_factory(email=EMAIL))
        await user_factory(email="grace@example.com")
        async with make_client(verify_email=verifies, email_address_rate="2/hour") as client:
            answers = [
                (await client.patch(ME, json={"email": email}, headers=headers)).status_code
                for email in ("grace@example.com", "GRACE@example.com", "grace@example.com")
            ]
            assert answers == [200 if verifies else 409] * 2 + [429]
            assert (await client.patch(ME, json={"name": "Ada", "email": EMAIL}, headers=headers)).status_code == 200


class TestResend:
    async def test_another_token_replaces_the_first(self, client: httpx2.AsyncClient, sent: Sent) -> None:
        await register(client)
        response = await resend(client, EMAIL.upper())
        assert (response.status_code, response.content) == (202, b"")
        [(_, first), (to, second)] = sent()
        assert to == EMAIL
        refused(await verify(client, first))
        assert (await verify(client, second)).status_code == 204

    async def test_unknown_address_answers_alike(
        self, client: httpx2.AsyncClient, user_factory: UserFactory, sent: Sent
    ) -> None:
        await user_factory(email=EMAIL)
        for email in (EMAIL, NEW):
            assert (await resend(client, email)).status_code == 202
        assert sent() == []

    async def test_two_registrations_are_not_sent_again(self, client: httpx2.AsyncClient, sent: Sent) -> None:
        """The password of one of them may be another person's."""
        await register(client)
        await register(client, password="another good one")
        assert (await resend(client)).status_code == 202
        assert len(sent()) == 2

    async def test_answer_takes_a_minimum_time(
        self, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waited: list[float] = []

        async def sleep_async(seconds: float) -> None:
            waited.append(seconds)

        await register(client)
        monkeypatch.setattr(timing, "MINIMUM_SECONDS", 5)
        monkeypatch.setattr(timing, "monotonic", lambda: 100.0)
        monkeypatch.setattr(timing, "sleep", waited.append)
        monkeypatch.setattr(timing, "sleep_async", sleep_async)
        for email in (EMAIL, NEW):
            await resend(client, email)
        assert waited == [5, 5]


class TestExpiredTokens:
    EXPIRED = (
        "INSERT INTO email_tokens (purpose, digest, email, expires_at)"
        " SELECT 'registration', lpad(number::text, 64, '0'), 'ada@example.com', now() - interval '1 minute'"
        " FROM generate_series(1, 3) AS number RETURNING id"
    )

    @pytest.mark.usefixtures("nested_loops")
    @pytest.mark.parametrize("event", ["log-in", "message"])
    async def test_each_event_deletes_some(
        self,
        client: httpx2.AsyncClient,
        user_factory: UserFactory,
        rows: Rows,
        monkeypatch: pytest.MonkeyPatch,
        event: str,
    ) -> None:
        monkeypatch.setattr("app.core.accounts.email.tokens.MAX_DELETED", 2)
        await user_factory(email=NEW)
        await rows(self.EXPIRED)
        left = []
        for _ in range(2):
            await (log_in(client, NEW) if event == "log-in" else register(client, email="grace@example.com"))
            [row] = await rows("SELECT count(*) AS found FROM email_tokens WHERE expires_at < now()")
            left.append(row["found"])
        assert left == [1, 0]


@pytest.mark.slow
async def test_concurrent_confirmations_create_one_account(
    committing_async_client: httpx2.AsyncClient, sql: Execute
) -> None:
    for attempt in range(10):
        tokens = [f"token {attempt} {number}" for number in range(4)]
        for token in tokens:
            await asyncio.to_thread(
                sql,
                "INSERT INTO email_tokens (purpose, digest, email, expires_at, name, password) VALUES ('registration',"
                f" '{digest(token)}', 'ada{attempt}@example.com', now() + interval '1 hour', 'Ada', '{token}')",
            )
        answers = await asyncio.gather(*(verify(committing_async_client, token) for token in tokens))
        assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422]
        [confirmed] = [token for token, answer in zip(tokens, answers, strict=True) if answer.status_code == 204]
        password = f"SELECT password FROM users WHERE email = 'ada{attempt}@example.com'"
        assert await asyncio.to_thread(sql, password) == [confirmed]
        assert await asyncio.to_thread(sql, "SELECT id FROM email_tokens") == []


async def test_messages_to_one_address_are_limited(make_client: MakeClient) -> None:
    async with make_client(verify_email=True, email_rate="2/hour") as client:
        for ask in (register, resend):
            assert [(await ask(client)).status_code for _ in "12"] == [202, 202]
            assert_problem(await ask(client), 429)


async def test_guesses_of_tokens_are_limited(make_client: MakeClient) -> None:
    async with make_client(login_address_rate="2/minute") as client:
        assert [(await verify(client, "x")).status_code for _ in "123"] == [422, 422, 429]


async def test_identity_provider_has_no_verification(make_client: MakeClient) -> None:
    async with make_client(jwt_issuer="http://127.0.0.1:9", jwt_audience="service") as client:
        assert_problem(await verify(client, "x"), 404)
        assert_problem(await resend(client), 404)
        assert_problem(await register(client), 404)

"""Passwords and tokens: valid and invalid values."""

import asyncio
import base64
import hashlib
import json
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx2
import jwt
import pytest
from pwdlib import PasswordHash

from app.core.config import ABOUT, Settings
from app.core.http.limits import addresses
from app.core.problems import Forbidden, Unavailable
from app.core.security import passwords, tokens
from app.core.security.bearer import ACCESS_TOKEN, ADMIN, AccessToken, TokenVerifier
from app.core.security.issuer import IssuerTokens
from app.core.security.tokens import LocalTokens
from app.core.testing import assert_problem

SETTINGS = Settings(environment="test")
KEY = SETTINGS.secret_key.get_secret_value()


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid admin token with these changes; None removes a claim."""
    now = datetime.now(UTC)
    ours = {"iss": ABOUT.name, "aud": ABOUT.name}
    good = ours | {"sub": "7", "scope": ADMIN, "iat": now, "exp": now + timedelta(hours=1)}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: str = KEY, algorithm: str = "HS256", typ: str | None = ACCESS_TOKEN, **changes: Any) -> str:
    """Return a valid access token of the service with these changes."""
    return jwt.encode(claims(**changes), key, algorithm, headers={"typ": typ})


def encoded(part: dict[str, Any] | bytes) -> str:
    """Encode a part of a token that JWT libraries refuse to create."""
    data = part if isinstance(part, bytes) else json.dumps(part, default=lambda time: int(time.timestamp())).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _tampered() -> str:
    header, _, signature = signed().split(".")
    return f"{header}.{encoded(claims(sub='8'))}.{signature}"


def _unsigned(algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': ACCESS_TOKEN})}.{encoded(claims())}."


BAD_TOKENS = {
    "empty": "",
    "no token": "x",
    "three dots": "a.b.c.d",
    "not ascii": "é.é.é",
    "no json": f"{encoded(b'[')}.{encoded(b'[')}.",
    "a list": f"{encoded(b'[]')}.{encoded(b'[]')}.",
    "deep": f"{encoded(b'[' * 100_000)}.{encoded(b'{}')}.",
    "unsigned": _unsigned("none"),
    "unsigned, in capitals": _unsigned("NONE"),
    "unsigned, with HS256 in the header": _unsigned("HS256"),
    "algorithm is a list": f"{encoded({'alg': [], 'typ': ACCESS_TOKEN})}.{encoded(claims())}.",
    "signature cut off": signed().rpartition(".")[0] + ".",
    "another algorithm": signed(KEY * 2, "HS512"),
    "another service's key": signed("another service's key, as long as ours"),
    "tampered": _tampered(),
    "expired": signed(exp=datetime.now(UTC) - timedelta(seconds=1)),
    "not yet": signed(nbf=datetime.now(UTC) + timedelta(hours=1)),
    "issued later": signed(iat=datetime.now(UTC) + timedelta(hours=1)),
    "another type": signed(typ="JWT"),
    "no type": signed(typ=None),
    "another audience": signed(aud="another"),
    "many audiences": signed(aud=[ABOUT.name, "another"]),
    "no audience": signed(aud=None),
    "another issuer": signed(iss="another"),
    "no issuer": signed(iss=None),
    "no end": signed(exp=None),
    "end is a text": signed(exp="tomorrow"),
    "no subject": signed(sub=None),
    "subject is a number": signed(sub=7),
}


@pytest.fixture
def client(async_client: httpx2.AsyncClient, trust: Callable[[TokenVerifier], None]) -> httpx2.AsyncClient:
    """A client of a service that accepts tokens signed with KEY."""
    trust(LocalTokens(SETTINGS))
    return async_client


async def list_users(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    """Request a route that checks only the token: `/users/me` also needs the user in the database."""
    return await client.get("/api/v1/users", headers={b"Authorization": b"Bearer " + token.encode()})


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "unknown"),
    ],
)
def test_rate_limit_counts_ipv6_by_network(address: str, network: str) -> None:
    assert addresses.network(address) == network


class TestPassword:
    @pytest.mark.slow
    def test_hash_cost_meets_owasp_minimum(self) -> None:
        hashed = passwords.hash_password("correct horse")
        [(memory, rounds)] = re.findall(r"^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$", hashed)
        assert int(memory) >= 19 * 1024
        assert int(rounds) >= 2

    @pytest.mark.usefixtures("cheap_passwords")
    def test_password_matches_its_hash(self) -> None:
        hashed = passwords.hash_password("correct horse")
        assert passwords.verify_password("correct horse", hashed)
        assert not passwords.verify_password("correct house", hashed)
        assert hashed != passwords.hash_password("correct horse")

    @pytest.mark.usefixtures("cheap_passwords")
    @pytest.mark.parametrize("hashed", [None, "no hash at all"])
    def test_password_without_hash_is_wrong(self, hashed: str | None) -> None:
        assert not passwords.verify_password("", hashed)

    @pytest.mark.usefixtures("cheap_passwords")
    def test_dummy_hash_never_matches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hashed = passwords.hash_password("guessed")
        monkeypatch.setattr(passwords, "_dummy_hash", lambda: hashed)
        assert not passwords.verify_password("guessed", None)

    @pytest.mark.usefixtures("cheap_passwords")
    def test_dummy_hash_has_the_same_cost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        worked_on: list[str] = []
        verify = PasswordHash.verify

        def counting(self: PasswordHash, password: str, hashed: str) -> bool:
            worked_on.append(hashed)
            return verify(self, password, hashed)

        known = passwords.hash_password("correct horse")
        monkeypatch.setattr(PasswordHash, "verify", counting)
        assert not passwords.verify_password("wrong", known)
        assert not passwords.verify_password("wrong", None)
        known_cost, dummy_cost = (hashed.rsplit("$", 2)[0] for hashed in worked_on)
        assert known_cost == dummy_cost, "memory, rounds and lanes of Argon2"


class TestConcurrentHashes:
    @pytest.mark.slow
    def test_concurrent_hashes_fit_into_256_mib(self) -> None:
        [kibibytes] = re.findall(r"\$m=(\d+),", passwords.hash_password("correct horse"))
        assert passwords.MAX_CONCURRENT_HASHES * int(kibibytes) <= 256 * 1024

    def test_hash_without_a_place_is_refused(self) -> None:
        turns, entered, leave = passwords.Turns(1, 1), threading.Event(), threading.Event()

        def hold() -> None:
            with turns:
                entered.set()
                leave.wait(30)

        with ThreadPoolExecutor(2) as threads:
            held = threads.submit(hold)
            assert entered.wait(30)
            waiting = threads.submit(hold)
            while turns._places._value:
                time.sleep(0.001)
            with pytest.raises(Unavailable) as refused, turns:
                pass
            assert refused.value.headers["Retry-After"]
            leave.set()
            held.result()
            waiting.result()
        with turns:
            """Both places are free again."""

    def test_failed_wait_for_a_hash_frees_its_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> bool:
            raise RuntimeError("the event loop is closed")

        monkeypatch.setattr(passwords, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(passwords, "has_client", ContextVar("failing", default=fail))
        turns = passwords.Turns(1, 1)
        with turns:
            for _ in range(3):
                with pytest.raises(RuntimeError, match="loop is closed"), turns:
                    pass

    def test_waiting_hash_ends_when_the_client_leaves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(passwords, "has_client", ContextVar("left", default=lambda: False))
        turns = passwords.Turns(1, 1)
        with turns:
            with ThreadPoolExecutor(1) as thread, pytest.raises(Unavailable):
                thread.submit(turns.__enter__).result(30)
            assert turns._places._value == 1, "the place is free for the next"

    @pytest.mark.usefixtures("cheap_passwords")
    def test_hashing_threads_have_low_priority(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []

        def note(_self: PasswordHash, _password: str) -> str:
            linux = sys.platform == "linux"  # other systems have no priorities of threads
            seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if linux else passwords.NICENESS)
            return "hash"

        monkeypatch.setattr(PasswordHash, "hash", note)
        passwords.hash_password("correct horse")
        assert seen == [passwords.NICENESS]

    async def test_loop_limits_hashes_and_those_that_wait(self) -> None:
        leave = threading.Event()
        threads = passwords.HashThreads()
        most = passwords.MAX_CONCURRENT_HASHES + passwords.MAX_WAITING_HASHES
        running = [asyncio.ensure_future(threads.run(leave.wait, 30)) for _ in range(most)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await threads.run(leave.wait, 30)
        leave.set()
        assert await asyncio.gather(*running) == [True] * most
        assert await threads.run(leave.wait, 30)

    async def test_loop_cancels_the_hash_of_a_client_that_left(self) -> None:
        leave, left, called = threading.Event(), asyncio.Event(), threading.Event()
        threads = passwords.HashThreads()
        running = [asyncio.ensure_future(threads.run(leave.wait, 30)) for _ in range(passwords.MAX_CONCURRENT_HASHES)]
        passwords.disconnected.set(left.wait)
        waiting = asyncio.ensure_future(threads.run(called.set))
        await asyncio.sleep(0)
        left.set()
        with pytest.raises(Unavailable):
            await waiting
        leave.set()
        await asyncio.gather(*running)
        assert not called.is_set()

    @pytest.mark.parametrize("method", ["hash", "verify"])
    def test_concurrent_hashes_are_limited(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        callers, together = 3 * passwords.MAX_CONCURRENT_HASHES, threading.Barrier(passwords.MAX_CONCURRENT_HASHES)
        running: list[str] = []
        seen: list[int] = []

        def hashing(_: PasswordHash, password: str, *_hashed: str) -> bool:
            running.append(password)
            together.wait(timeout=60)
            seen.append(len(running))
            together.wait(timeout=60)
            running.remove(password)
            together.wait(timeout=60)
            return True

        monkeypatch.setattr(PasswordHash, method, hashing)
        calls = {
            "hash": passwords.hash_password,
            "verify": lambda password: passwords.verify_password(password, "hashed"),
        }
        with ThreadPoolExecutor(callers) as threads:
            assert all(threads.map(calls[method], map(str, range(callers))))
        assert seen == [passwords.MAX_CONCURRENT_HASHES] * callers


class TestToken:
    def test_issued_token_keeps_subject_and_scopes(self) -> None:
        tokens = LocalTokens(SETTINGS)
        token = tokens.verify(tokens.issue("7", {ADMIN, "read"}))
        assert (token.subject, token.scopes) == ("7", frozenset({ADMIN, "read"}))
        assert not tokens.verify(tokens.issue("7", ())).scopes

    def test_token_lifetime_is_a_setting(self) -> None:
        tokens = LocalTokens(Settings(environment="test", access_token_minutes=3))
        lived = tokens.verify(tokens.issue("7", ())).claims
        assert lived["exp"] - int(lived["iat"]) == 180

    def test_token_without_the_scope_is_forbidden(self) -> None:
        AccessToken("7", frozenset({"read"}), {}).require("read")
        with pytest.raises(Forbidden):
            AccessToken("7", frozenset({"read"}), {}).require(ADMIN)

    @pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
    async def test_invalid_token_is_401(self, client: httpx2.AsyncClient, token: str) -> None:
        response = await list_users(client, token)
        assert_problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"

    async def test_valid_token_is_accepted(self, client: httpx2.AsyncClient) -> None:
        """The unchanged token is valid, so the tests above can fail."""
        assert (await list_users(client, signed())).status_code == 200

    async def test_expired_token_is_401(self, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        token, later = signed(), time.time() + 3600
        assert (await list_users(client, token)).status_code == 200
        monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: later))
        assert_problem(await list_users(client, token), 401)

    @pytest.mark.parametrize("scope", [None, 7, ["admin"], {"admin": True}])
    def test_non_string_scope_gives_no_scope(self, scope: Any) -> None:
        assert LocalTokens(SETTINGS).verify(signed(scope=scope)).scopes == frozenset()

    def test_settings_select_the_token_verifier(self) -> None:
        assert isinstance(tokens.token_verifier(SETTINGS), LocalTokens)
        with_issuer = Settings(environment="test", jwt_issuer="https://id.example.com", jwt_audience="api")
        verifier = tokens.token_verifier(with_issuer)
        assert isinstance(verifier, IssuerTokens)
        assert (verifier.issuer, verifier.audience) == ("https://id.example.com", "api")
        assert (verifier.scope_claims, verifier.scope_map) == (("scope",), ())
        of_scopes = {"jwt_scope_claims": ("scp", "roles"), "jwt_scope_map": (("Shop.Admin", ADMIN),)}
        mapped = tokens.token_verifier(with_issuer.model_copy(update=of_scopes))
        assert isinstance(mapped, IssuerTokens)
        assert (mapped.scope_claims, mapped.scope_map) == tuple(of_scopes.values())

    def test_random_tokens_are_stored_as_digests(self) -> None:
        random.seed(7)
        token = tokens.new_token()
        random.seed(7)
        assert token != tokens.new_token(), "not from Python's generator, which is predictable"
        assert len(base64.urlsafe_b64decode(token + "==")) == 32
        assert tokens.digest(token) == hashlib.sha256(token.encode()).hexdigest()

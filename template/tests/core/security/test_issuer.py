"""Tokens of an identity provider on this machine, and failures of the provider."""

import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.problems import Unauthorized, Unavailable
from app.core.security import issuer
from app.core.security.bearer import ADMIN, TokenVerifier
from app.core.security.issuer import IssuerKeys, IssuerTokens
from app.core.testing import MakeClient, assert_problem

PATHS = ["/.well-known/openid-configuration", "/keys"]
FIRST_KEY = generate_private_key(SECP256R1())


class Provider:
    """An identity provider with replaceable keys."""

    AUDIENCE = "api"

    def __init__(self) -> None:
        self.keys: dict[str, EllipticCurvePrivateKey] = {}
        self.requests: list[str] = []
        self.answers: dict[str, Any] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append(self.path)
                answer = provider.answers[self.path]
                if callable(answer):
                    answer(self)
                elif answer is not None:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def publish(self, **keys: EllipticCurvePrivateKey) -> None:
        """Publish only these keys, and sign with the first."""
        self.keys = keys
        public = [jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) for key in keys.values()]
        named = [key | {"kid": name, "use": "sig"} for name, key in zip(keys, public, strict=True)]
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.answers = dict(zip(PATHS, [discovery, {"keys": named}], strict=True))

    def fail(self) -> None:
        """Close every further request without a response."""
        self.answers = dict.fromkeys(PATHS)

    def token(
        self,
        *,
        key: EllipticCurvePrivateKey | None = None,
        headers: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Return a valid access token with these changes; None removes a claim."""
        name, own = next(iter(self.keys.items()))
        now = datetime.now(UTC)
        good = {"iss": self.url, "aud": self.AUDIENCE, "sub": "auth0|ada", "scope": "read", "iat": now}
        profile = {"email": "ada@example.com", "email_verified": True, "name": "Ada"}
        content = good | profile | {"exp": now + timedelta(hours=1)} | changes
        content = {claim: value for claim, value in content.items() if value is not None}
        return jwt.encode(content, key or own, "ES256", headers={"kid": name} | (headers or {}))


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


@pytest.fixture
def provider(server: Provider) -> Provider:
    """The provider, reset to its first key."""
    server.publish(one=FIRST_KEY)
    server.requests.clear()
    return server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the clock of the key cache: `clock(seconds)`."""
    passed = [0.0]
    real = time.monotonic
    monkeypatch.setattr(issuer, "time", SimpleNamespace(monotonic=lambda: real() + passed[0]))

    def wait(seconds: float) -> None:
        passed[0] += seconds

    return wait


@pytest.fixture
def tokens(provider: Provider) -> IssuerTokens:
    """A verifier with an empty key cache."""
    return IssuerTokens(provider.url, provider.AUDIENCE)


@pytest.fixture(scope="module")
def first_keys(server: Provider) -> Any:
    """The key cache of a verifier after its first request to the provider."""
    server.publish(one=FIRST_KEY)
    tokens = IssuerTokens(server.url, server.AUDIENCE)
    assert tokens.verify(server.token())
    return tokens.keys._keys


@pytest.fixture
def informed(tokens: IssuerTokens, first_keys: Any) -> IssuerTokens:
    """A verifier with a fresh key cache that holds the provider's first key."""
    tokens.keys._keys = first_keys._replace(fetched=time.monotonic())
    tokens.keys._asked = time.monotonic()
    return tokens


@pytest.fixture
def client(
    async_client: httpx2.AsyncClient, trust: Callable[[TokenVerifier], None], tokens: IssuerTokens
) -> httpx2.AsyncClient:
    """A client of the service, which trusts the provider."""
    trust(tokens)
    return async_client


async def me(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})


BAD: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "another"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://another.example"},
    "no issuer": {"iss": None},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "long subject": {"sub": "x" * 256},
    "subject with NUL": {"sub": "a\x00b"},
    "subject with a lone surrogate": {"sub": "\ud800"},
    "no end": {"exp": None},
    "expired": {"exp": datetime(2026, 1, 1, tzinfo=UTC)},
    "not yet": {"nbf": datetime(2999, 1, 1, tzinfo=UTC)},
    "foreign key under a known name": {"key": generate_private_key(SECP256R1())},
    "foreign key": {"key": generate_private_key(SECP256R1()), "headers": {"kid": "unknown"}},
    "empty key id": {"headers": {"kid": ""}},
    "another type": {"headers": {"typ": "logout+jwt"}},
}


def _redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.end_headers()


def _drip(handler: BaseHTTPRequestHandler) -> None:
    """Send bytes slowly, without end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.01)
    except OSError:
        pass


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * 65_536)
    except OSError:
        pass


UNNAMED = {"email": None, "email_verified": None, "name": None}
GRACE = {"sub": "auth0|grace", "email": "grace@example.com", "email_verified": True, "name": "Grace"}


@pytest.fixture
def asked(provider: Provider, client: httpx2.AsyncClient) -> Callable[[Any], None]:
    """Set the answer of the userinfo endpoint."""
    provider.answers[PATHS[0]]["userinfo_endpoint"] = f"{provider.url}/userinfo"

    def answer(answer: Any) -> None:
        provider.answers["/userinfo"] = answer

    return answer


def _status(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()

    return answer


class TestToken:
    @pytest.mark.usefixtures("informed")
    async def test_valid_token_is_accepted(self, provider: Provider, client: httpx2.AsyncClient) -> None:
        """The unchanged token is valid, so the tests above can fail."""
        assert (await me(client, provider.token())).json()["email"] == "ada@example.com"

    @pytest.mark.parametrize(
        ("claims", "headers"),
        [
            ({"aud": ["web", "api"]}, {}),
            ({}, {"typ": "at+jwt"}),
            ({}, {"typ": "application/AT+JWT"}),
            ({}, {"typ": None}),
        ],
    )
    def test_valid_token_variants_are_accepted(
        self, provider: Provider, informed: IssuerTokens, claims: dict[str, Any], headers: dict[str, Any]
    ) -> None:
        assert informed.verify(provider.token(headers=headers, **claims)).subject

    @pytest.mark.usefixtures("informed")
    @pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
    async def test_invalid_token_is_401(
        self, provider: Provider, client: httpx2.AsyncClient, changes: dict[str, Any]
    ) -> None:
        response = await me(client, provider.token(**changes))
        assert_problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.usefixtures("informed")
    async def test_key_in_token_header_is_ignored(self, provider: Provider, client: httpx2.AsyncClient) -> None:
        """RFC 8725, section 3.10: an attacker can put a key, or the URL of a key, into the header."""
        own = generate_private_key(SECP256R1())
        public = jwt.algorithms.ECAlgorithm.to_jwk(own.public_key(), as_dict=True)
        for header in ({"jwk": public}, {"jku": f"{provider.url}/keys"}, {"x5u": f"{provider.url}/keys"}):
            assert_problem(await me(client, provider.token(key=own, headers=header)), 401)
        assert provider.requests == []

    @pytest.mark.usefixtures("informed")
    async def test_hmac_with_public_key_is_401(self, provider: Provider, client: httpx2.AsyncClient) -> None:
        """Algorithm confusion: an HMAC signature with the public key as its secret."""
        pem = FIRST_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        header, payload, _ = provider.token().split(".")
        header = jwt.utils.base64url_encode(b'{"alg": "HS256", "typ": "JWT", "kid": "one"}').decode()
        signature = jwt.utils.base64url_encode(hmac.digest(pem, f"{header}.{payload}".encode(), "sha256")).decode()
        for token in (f"{header}.{payload}.{signature}", f"{header}.{payload}."):
            assert_problem(await me(client, token), 401)
        assert not any(algorithm.startswith(("HS", "none")) for algorithm in IssuerTokens.ALGORITHMS)

    @pytest.mark.usefixtures("informed")
    async def test_algorithm_of_another_key_type_is_401(self, provider: Provider, client: httpx2.AsyncClient) -> None:
        header, payload, signature = provider.token().split(".")
        header = jwt.utils.base64url_encode(b'{"alg": "RS256", "typ": "JWT", "kid": "one"}').decode()
        assert_problem(await me(client, f"{header}.{payload}.{signature}"), 401)

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", jwt.encode({"sub": "7"}, "x" * 32, "HS256")])
    def test_malformed_token_makes_no_request(self, provider: Provider, tokens: IssuerTokens, token: str) -> None:
        assert not tokens.may_wait(token)
        with pytest.raises(Unauthorized):
            tokens.verify(token)
        assert provider.requests == []

    @pytest.mark.parametrize("algorithm", ["RS256", "PS256", "PS512"])
    def test_rsa_key_without_alg_serves_all_rsa_algorithms(
        self, provider: Provider, tokens: IssuerTokens, algorithm: str
    ) -> None:
        key = rsa.generate_private_key(65537, 2048)
        public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"}
        provider.answers[PATHS[1]] = {"keys": [public]}
        claims = jwt.decode(provider.token(), options={"verify_signature": False})
        token = jwt.encode(claims, key, algorithm, headers={"kid": "rsa"})
        assert tokens.verify(token).subject == "auth0|ada"
        with pytest.raises(Unauthorized):
            tokens.verify(provider.token(headers={"kid": "rsa"}))  # ES256
        provider.answers[PATHS[1]] = {"keys": [public | {"alg": "RS256"}]}
        bound = IssuerTokens(provider.url, provider.AUDIENCE)
        if algorithm == "RS256":
            assert bound.verify(token)
        else:
            with pytest.raises(Unauthorized):
                bound.verify(token)

    @pytest.mark.usefixtures("informed")
    @pytest.mark.parametrize("claim", ["nonce", "at_hash", "c_hash"])
    async def test_id_token_is_401(self, provider: Provider, client: httpx2.AsyncClient, claim: str) -> None:
        changes: dict[str, Any] = {claim: "x"}
        assert_problem(await me(client, provider.token(**changes)), 401)

    async def test_service_accepts_only_tokens_of_its_issuer(
        self, provider: Provider, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with make_client(jwt_issuer=provider.url, jwt_audience=provider.AUDIENCE) as client:
            token = provider.token()
            provider.fail()
            assert_problem(await me(client, token), 503)
            provider.publish(one=FIRST_KEY)
            monkeypatch.setattr(IssuerKeys, "PAUSE", 0)
            assert (await me(client, provider.token())).json()["email"] == "ada@example.com"
            assert_problem(await me(client, provider.token(aud="another")), 401)
            assert_problem(await me(client, provider.token(key=generate_private_key(SECP256R1()))), 401)
            # Only the claim `scope` gives rights.
            lists = {"Authorization": f"Bearer {provider.token(is_admin=True, roles=['admin'])}"}
            assert_problem(await client.get("/api/v1/users", headers=lists), 403)


class TestKeys:
    def test_valid_tokens_fetch_keys_once(self, provider: Provider, tokens: IssuerTokens) -> None:
        assert tokens.may_wait(provider.token())
        for _ in range(3):
            principal = tokens.verify(provider.token())
            assert (principal.subject, *principal.scopes) == ("auth0|ada", "read")
        assert not tokens.may_wait(provider.token()), "cached keys need no thread"
        assert provider.requests == PATHS

    def test_new_key_is_fetched_without_restart(
        self, provider: Provider, informed: IssuerTokens, clock: Callable[[float], None]
    ) -> None:
        old = provider.token()
        provider.publish(two=generate_private_key(SECP256R1()))
        clock(IssuerKeys.PAUSE)
        assert informed.verify(provider.token())
        with pytest.raises(Unauthorized):
            informed.verify(old)

    def test_withdrawn_key_is_refused_after_refresh(
        self, provider: Provider, informed: IssuerTokens, clock: Callable[[float], None]
    ) -> None:
        old = provider.token()
        provider.publish(two=generate_private_key(SECP256R1()))
        assert informed.verify(old)
        clock(IssuerKeys.FRESH)
        with pytest.raises(Unauthorized):
            informed.verify(old)

    def test_unknown_key_ids_do_not_refetch_keys(self, provider: Provider, tokens: IssuerTokens) -> None:
        for number in range(5):
            with pytest.raises(Unauthorized):
                tokens.verify(provider.token(headers={"kid": f"unknown {number}"}))
        assert provider.requests == PATHS

    def test_failed_fetch_is_not_repeated_for_each_token(
        self, provider: Provider, tokens: IssuerTokens, clock: Callable[[float], None]
    ) -> None:
        token = provider.token()
        provider.fail()
        for _ in range(3):
            with pytest.raises(Unavailable):
                tokens.verify(token)
        assert provider.requests == PATHS[:1]
        provider.publish(one=FIRST_KEY)
        clock(IssuerKeys.PAUSE)
        assert tokens.verify(token), "the verifier recovers"

    def test_known_keys_work_while_provider_is_down(
        self, provider: Provider, informed: IssuerTokens, clock: Callable[[float], None]
    ) -> None:
        token = provider.token()
        provider.fail()
        clock(IssuerKeys.FRESH)
        assert informed.verify(token).subject == "auth0|ada"
        with pytest.raises(Unavailable):
            informed.verify(provider.token(headers={"kid": "perhaps a new one"}))
        clock(IssuerKeys.KEPT)
        with pytest.raises(Unavailable):
            informed.verify(token)

    def test_known_key_does_not_wait_for_a_refresh(
        self, provider: Provider, informed: IssuerTokens, clock: Callable[[float], None]
    ) -> None:
        clock(IssuerKeys.FRESH)
        with informed.keys._asking:  # as held by a thread that waits for the provider
            assert informed.verify(provider.token())

    def test_unreachable_provider_is_unavailable(self, provider: Provider) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with pytest.raises(Unavailable):
                IssuerTokens(url, provider.AUDIENCE).verify(provider.token())

    @pytest.mark.slow
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(
        "answer",
        [_redirect, _drip, _endless, [], "keys", {}, {"keys": []}, {"keys": [{}]}, {"keys": 7}],
        ids=["redirect", "drip", "endless", "list", "text", "nothing", "no keys", "no key", "number"],
    )
    async def test_invalid_provider_response_is_503(
        self, provider: Provider, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, answer: Any
    ) -> None:
        monkeypatch.setattr(IssuerKeys, "TIMEOUT", 0.1)
        provider.answers |= {path: answer, "/elsewhere": provider.answers[path]}
        assert_problem(await me(client, provider.token()), 503)
        assert "/elsewhere" not in provider.requests

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": "https://another.example"},
            {"jwks_uri": "file:///etc/passwd"},
            {"jwks_uri": "ftp://127.0.0.1/keys"},
            {"jwks_uri": "data:application/json,{}"},
            {"jwks_uri": None},
        ],
        ids=["another issuer", "file", "ftp", "data", "nowhere"],
    )
    async def test_invalid_discovery_document_is_503(
        self, provider: Provider, client: httpx2.AsyncClient, changes: dict[str, Any]
    ) -> None:
        provider.answers[PATHS[0]] |= changes
        assert_problem(await me(client, provider.token()), 503)
        assert provider.requests == PATHS[:1]

    def test_https_issuer_with_http_jwks_uri_is_refused(
        self, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = IssuerKeys("https://id.example")
        discovery = {"issuer": "https://id.example", "jwks_uri": f"{provider.url}/keys"}
        get = IssuerKeys._get
        monkeypatch.setattr(
            IssuerKeys, "_get", lambda self, url: discovery if url.startswith("https:") else get(self, url)
        )
        with pytest.raises(Unavailable):
            keys.find("one")
        assert provider.requests == []


class TestScopes:
    @pytest.mark.parametrize(
        ("claims", "scopes"),
        [
            ({"scope": "read write"}, {"read", "write"}),
            ({"scp": ["read"]}, set()),
            ({"scope": None, "scp": "read write", "roles": ["Shop Admin"]}, set()),
        ],
    )
    def test_scopes_are_in_scope_by_default(
        self, provider: Provider, informed: IssuerTokens, claims: dict[str, Any], scopes: set[str]
    ) -> None:
        assert informed.verify(provider.token(**({"scope": None} | claims))).scopes == scopes

    @pytest.mark.parametrize(
        ("value", "scopes"),
        [
            ("read write", {"read", "write"}),
            (["read", "Shop Admin"], {"read", "Shop Admin"}),
            ([7, None, ["read"], "write"], {"write"}),
            ({"read": True}, set()),
            (7, set()),
            (None, set()),
        ],
    )
    def test_scopes_are_in_the_configured_claims(
        self, provider: Provider, informed: IssuerTokens, value: Any, scopes: set[str]
    ) -> None:
        informed.scope_claims = ("scp", "roles")
        assert informed.verify(provider.token(scope="other", scp=value)).scopes == scopes
        assert informed.verify(provider.token(scope="other", scp="one", roles=value)).scopes == scopes | {"one"}

    def test_only_mapped_values_give_scopes(self, provider: Provider, informed: IssuerTokens) -> None:
        informed.scope_claims = ("roles",)
        informed.scope_map = (("Shop Admin", ADMIN), ("Shop Admin", "catalogue:write"), ("reader", "read"))
        assert informed.verify(provider.token(roles=["Shop Admin"])).scopes == {ADMIN, "catalogue:write"}
        assert informed.verify(provider.token(roles=[ADMIN, "reader"])).scopes == {"read"}

    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": "machine", "client_id": "machine"},
            {"sub": "machine", "azp": "machine"},
            {"sub": "machine", "cid": "machine"},
            {"sub": "machine@clients", "azp": "machine", "gty": "client-credentials"},
            {"sub": "7", "idtyp": "app"},
        ],
    )
    async def test_machine_has_scopes_and_no_user(
        self, provider: Provider, client: httpx2.AsyncClient, asked: Callable[[Any], None], claims: dict[str, Any]
    ) -> None:
        asked(GRACE)
        token = provider.token(scope=ADMIN, **UNNAMED, **claims)
        assert "machine" in assert_problem(await me(client, token), 403)["detail"]
        users = await client.get("/api/v1/users", headers={"Authorization": f"Bearer {token}"})
        assert (users.status_code, users.json()["items"]) == (200, [])
        assert provider.requests == PATHS


class TestUserinfo:
    async def test_userinfo_is_asked_once(
        self, provider: Provider, client: httpx2.AsyncClient, asked: Callable[[Any], None]
    ) -> None:
        headers: list[str] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            headers.append(handler.headers["Authorization"])
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(json.dumps(GRACE).encode())

        asked(answer)
        token = provider.token(sub="auth0|grace", **UNNAMED)
        for _ in range(2):
            user = (await me(client, token)).json()
            assert (user["name"], user["email"]) == ("Grace", "grace@example.com")
        assert headers == [f"Bearer {token}"]
        assert (await me(client, provider.token())).json()["email"] == "ada@example.com"
        assert len(headers) == 1, "the token of Ada has an e-mail"

    @pytest.mark.parametrize(
        "answer",
        [
            _status(401),
            _status(404),
            _redirect,
            [],
            {},
            GRACE | {"sub": "auth0|eve"},
            {"sub": "auth0|grace", "email": 7},
        ],
        ids=["401", "404", "redirect", "list", "nothing", "another subject", "invalid"],
    )
    async def test_user_without_userinfo_has_no_email(
        self, provider: Provider, client: httpx2.AsyncClient, asked: Callable[[Any], None], answer: Any
    ) -> None:
        asked(answer)
        for _ in range(2):
            user = await me(client, provider.token(sub="auth0|grace", **UNNAMED))
            assert (user.status_code, user.json()["email"]) == (200, None)
        assert provider.requests == [*PATHS, "/userinfo"]

    @pytest.mark.parametrize("url", [None, 7, "", "ftp://127.0.0.1/x", "http://[", "nowhere"])
    async def test_unusable_userinfo_endpoint_is_ignored(
        self, provider: Provider, client: httpx2.AsyncClient, url: Any
    ) -> None:
        provider.answers[PATHS[0]]["userinfo_endpoint"] = url
        user = await me(client, provider.token(**UNNAMED))
        assert (user.status_code, user.json()["email"]) == (200, None)
        assert provider.requests == PATHS

    @pytest.mark.parametrize("answer", [None, _status(503), _status(429)], ids=["closed", "503", "429"])
    async def test_unanswered_userinfo_is_503_until_it_answers(
        self, provider: Provider, client: httpx2.AsyncClient, asked: Callable[[Any], None], answer: Any
    ) -> None:
        asked(answer)
        token = provider.token(sub="auth0|grace", **UNNAMED)
        response = await me(client, token)
        assert_problem(response, 503)
        assert response.headers["retry-after"]
        asked(GRACE)
        assert (await me(client, token)).json()["email"] == "grace@example.com"

"""Passwords, tokens and signatures: what is good, and everything that is not."""

import base64
import hashlib
import hmac
import json
import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pwdlib import PasswordHash

from app import security
from app.config import Settings
from app.problems import Forbidden, Unauthorized, Unavailable
from app.security import ADMIN, IssuerTokens, LocalTokens, Principal

SETTINGS = Settings(environment="test")
KEY = SETTINGS.secret_key.get_secret_value()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good access token of the service, with changes; None takes one away."""
    now = datetime.now(UTC)
    good = {"sub": "7", "scope": "", "aud": "access", "iat": now, "exp": now + timedelta(hours=1)}
    return {name: value for name, value in (good | changes).items() if value is not None}


def encoded(part: dict[str, Any] | bytes) -> str:
    """One part of a token that no library would make."""
    data = part if isinstance(part, bytes) else json.dumps(part, default=lambda time: int(time.timestamp())).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# Passwords


def test_hash_is_as_much_work_as_owasp_asks_for() -> None:
    hashed = security.hash_password("correct horse")
    [(memory, rounds)] = re.findall(r"^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$", hashed)
    assert int(memory) >= 19 * 1024
    assert int(rounds) >= 2


@pytest.mark.usefixtures("cheap_passwords")
def test_password_is_known_again() -> None:
    hashed = security.hash_password("correct horse")
    assert security.verify_password("correct horse", hashed)
    assert not security.verify_password("correct house", hashed)
    assert hashed != security.hash_password("correct horse")


@pytest.mark.usefixtures("cheap_passwords")
@pytest.mark.parametrize("hashed", [None, "no hash at all"])
def test_no_password_is_right_without_a_hash(hashed: str | None) -> None:
    assert not security.verify_password("", hashed)


@pytest.mark.usefixtures("cheap_passwords")
def test_nobodys_password_is_not_right_either(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = security.hash_password("guessed")
    monkeypatch.setattr(security, "_nobodys_hash", lambda: hashed)
    assert not security.verify_password("guessed", None)


@pytest.mark.usefixtures("cheap_passwords")
def test_an_unknown_account_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worked_on: list[str] = []
    verify = PasswordHash.verify

    def counting(self: PasswordHash, password: str, hashed: str) -> bool:
        worked_on.append(hashed)
        return verify(self, password, hashed)

    known = security.hash_password("correct horse")
    monkeypatch.setattr(PasswordHash, "verify", counting)
    assert not security.verify_password("wrong", known)
    assert not security.verify_password("wrong", None)
    ours, nobodys = (hashed.rsplit("$", 2)[0] for hashed in worked_on)
    assert ours == nobodys, "memory, rounds and lanes of Argon2"


# Tokens of the service


def test_token_comes_back_as_who_it_was_issued_for() -> None:
    tokens = LocalTokens(SETTINGS)
    principal = tokens.verify(tokens.issue("7", {ADMIN, "read"}))
    assert principal == ("7", frozenset({ADMIN, "read"}), principal.claims)
    assert principal.is_admin
    assert not tokens.verify(tokens.issue("7", ())).is_admin


def test_token_lives_as_long_as_the_settings_say() -> None:
    tokens = LocalTokens(Settings(environment="test", access_token_minutes=3))
    lived = tokens.verify(tokens.issue("7", ())).claims
    assert lived["exp"] - lived["iat"] == 180


def test_principal_without_the_scope_is_forbidden() -> None:
    Principal("7", frozenset({"read"}), {}).require("read")
    with pytest.raises(Forbidden):
        Principal("7", frozenset({"read"}), {}).require(ADMIN)


def _tampered() -> str:
    header, _, signature = jwt.encode(claims(), KEY, "HS256").split(".")
    return f"{header}.{encoded(claims(sub='8'))}.{signature}"


BAD_TOKENS = {
    "empty": "",
    "no token": "x",
    "three dots": "a.b.c.d",
    "not ascii": "é.é.é",
    "no json": f"{encoded(b'[')}.{encoded(b'[')}.",
    "a list": f"{encoded(b'[]')}.{encoded(b'[]')}.",
    "unsigned": jwt.encode(claims(), "", "none"),
    "unsigned, in capitals": f"{encoded({'alg': 'NONE', 'typ': 'JWT'})}.{encoded(claims())}.",
    "signature cut off": jwt.encode(claims(), KEY, "HS256").rpartition(".")[0] + ".",
    "another algorithm": jwt.encode(claims(), KEY * 2, "HS512"),
    "another service's key": jwt.encode(claims(), "another service's key, as long as ours", "HS256"),
    "tampered": _tampered(),
    "expired": jwt.encode(claims(exp=datetime.now(UTC) - timedelta(seconds=1)), KEY, "HS256"),
    "not yet": jwt.encode(claims(nbf=datetime.now(UTC) + timedelta(hours=1)), KEY, "HS256"),
    "another audience": jwt.encode(claims(aud="refresh"), KEY, "HS256"),
    "many audiences": jwt.encode(claims(aud=["access", "refresh"]), KEY, "HS256"),
    "no audience": jwt.encode(claims(aud=None), KEY, "HS256"),
    "no end": jwt.encode(claims(exp=None), KEY, "HS256"),
    "no subject": jwt.encode(claims(sub=None), KEY, "HS256"),
    "subject is a number": jwt.encode(claims(sub=7), KEY, "HS256"),
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_bad_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized):
        LocalTokens(SETTINGS).verify(token)


@pytest.mark.parametrize("scope", [None, 7, ["admin"], {"admin": True}])
def test_a_scope_that_is_no_text_gives_nothing(scope: Any) -> None:
    assert LocalTokens(SETTINGS).verify(jwt.encode(claims(scope=scope), KEY, "HS256")).scopes == frozenset()


# Tokens of an identity provider


class Provider:
    """An identity provider on this machine, with a key that it can change."""

    AUDIENCE = "api"

    def __init__(self) -> None:
        self.keys: dict[str, EllipticCurvePrivateKey] = {}
        self.requests: list[str] = []
        self.down = False
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append(self.path)
                if provider.down:
                    return
                body = provider.answer(self.path)
                self.send_response(200 if body else 404)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def answer(self, path: str) -> dict[str, Any] | None:
        match path:
            case "/.well-known/openid-configuration":
                return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
            case "/keys":
                return {"keys": [self.public(name) | {"kid": name, "use": "sig"} for name in self.keys]}
        return None

    def public(self, name: str) -> dict[str, Any]:
        return jwt.algorithms.ECAlgorithm.to_jwk(self.keys[name].public_key(), as_dict=True)

    def rotate(self, name: str) -> None:
        """Sign with a new key from now on, and with no other."""
        self.keys = {name: generate_private_key(SECP256R1())}

    def token(self, *, key: EllipticCurvePrivateKey | None = None, kid: str | None = None, **changes: Any) -> str:
        [(name, own)] = self.keys.items()
        content = claims(iss=self.url, aud=self.AUDIENCE, sub="auth0|ada", scope="read") | changes
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(content, key or own, "ES256", headers={"kid": kid or name})


FIRST_KEY = generate_private_key(SECP256R1())


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


@pytest.fixture
def provider(server: Provider) -> Provider:
    """The provider, with the key that it had in the beginning."""
    server.keys = {"one": FIRST_KEY}
    server.requests.clear()
    server.down = False
    return server


@pytest.fixture(scope="module")
def issued(server: Provider) -> IssuerTokens:
    """A verifier that has the provider's first key already."""
    server.keys = {"one": FIRST_KEY}
    server.down = False
    tokens = IssuerTokens(server.url, server.AUDIENCE)
    assert tokens.verify(server.token())
    return tokens


def test_providers_token_is_accepted_and_its_keys_fetched_once(provider: Provider) -> None:
    tokens = IssuerTokens(provider.url, provider.AUDIENCE)
    for _ in range(3):
        principal = tokens.verify(provider.token())
        assert (principal.subject, *principal.scopes) == ("auth0|ada", "read")
    assert provider.requests == ["/.well-known/openid-configuration", "/keys"]


def test_token_for_several_services_is_good_for_this_one(provider: Provider, issued: IssuerTokens) -> None:
    assert issued.verify(provider.token(aud=["web", "api"])).subject


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"sub": None},
        {"exp": None},
        {"exp": datetime(2026, 1, 1, tzinfo=UTC)},
        {"key": generate_private_key(SECP256R1())},
        {"kid": "unknown"},
    ],
    ids=lambda changes: "-".join(f"{name} {'missing' if value is None else ''}" for name, value in changes.items()),
)
def test_providers_bad_token_is_refused(provider: Provider, issued: IssuerTokens, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        issued.verify(provider.token(**changes))


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_no_other_token_is_accepted_beside_the_providers(issued: IssuerTokens, token: str) -> None:
    with pytest.raises(Unauthorized):
        issued.verify(token)


def test_public_key_is_no_secret(provider: Provider, issued: IssuerTokens) -> None:
    """The old attack: signed by HMAC, with the public key, which everybody has."""
    pem = provider.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    content = claims(iss=provider.url, aud=provider.AUDIENCE)
    unsigned = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{encoded(content)}"
    token = f"{unsigned}.{encoded(hmac.digest(pem, unsigned.encode(), 'sha256'))}"
    with pytest.raises(Unauthorized):
        issued.verify(token)
    assert not any(algorithm.startswith("HS") for algorithm in IssuerTokens.ALGORITHMS)


def test_new_key_is_found_and_the_old_one_is_no_longer_good(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = IssuerTokens(provider.url, provider.AUDIENCE)
    old = provider.token()
    assert tokens.verify(old)
    provider.rotate("two")
    # As after the five seconds for which unknown keys do not make the service ask again.
    monkeypatch.setattr(tokens._keys, "cooldown_duration", 0)
    assert tokens.verify(provider.token())
    with pytest.raises(Unauthorized):
        tokens.verify(old)


def test_unknown_keys_do_not_make_it_ask_each_time(provider: Provider) -> None:
    tokens = IssuerTokens(provider.url, provider.AUDIENCE)
    for number in range(5):
        with pytest.raises(Unauthorized):
            tokens.verify(provider.token(kid=f"unknown {number}"))
    assert provider.requests.count("/keys") == 1


def test_provider_that_is_down_is_not_the_callers_fault(provider: Provider) -> None:
    provider.down = True
    with pytest.raises(Unavailable):
        IssuerTokens(provider.url, provider.AUDIENCE).verify(provider.token())


def test_provider_that_nobody_finds_is_not_the_callers_fault(provider: Provider) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        with pytest.raises(Unavailable):
            IssuerTokens(url, provider.AUDIENCE).verify(provider.token())


def test_known_keys_are_good_while_the_provider_is_down(provider: Provider) -> None:
    tokens = IssuerTokens(provider.url, provider.AUDIENCE)
    tokens.verify(provider.token())
    provider.down = True
    assert tokens.verify(provider.token()).subject == "auth0|ada"


def test_provider_that_says_nothing_of_keys_is_unavailable(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = IssuerTokens(provider.url, provider.AUDIENCE)
    monkeypatch.setattr(provider, "answer", lambda path: {"issuer": provider.url})
    with pytest.raises(Unavailable):
        tokens.verify(provider.token())
    monkeypatch.undo()
    assert tokens.verify(provider.token()), "it recovers"


def test_settings_choose_one_kind_of_token() -> None:
    assert isinstance(security.token_verifier(SETTINGS), LocalTokens)
    with_issuer = Settings(environment="test", jwt_issuer="https://id.example.com", jwt_audience="api")
    verifier = security.token_verifier(with_issuer)
    assert isinstance(verifier, IssuerTokens)
    assert (verifier.issuer, verifier.audience) == ("https://id.example.com", "api")


# Random tokens and signatures


def test_random_tokens_differ_and_are_stored_as_digests() -> None:
    token = security.new_token()
    assert token != security.new_token()
    assert len(base64.urlsafe_b64decode(token + "=")) == 32
    assert security.digest(token) == hashlib.sha256(token.encode()).hexdigest()


def test_signature_is_the_one_that_others_compute() -> None:
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert security.signature("Jefe", b"what do ya want for nothing?") == expected


@pytest.mark.parametrize("offered", ["", "0" * 64, "é", "5BDC", security.signature("another", b"body")])
def test_another_signature_does_not_match(offered: str) -> None:
    assert security.signature_matches("secret", b"body", security.signature("secret", b"body"))
    assert not security.signature_matches("secret", b"body", offered)
    assert not security.signature_matches("secret", b"body ", security.signature("secret", b"body"))

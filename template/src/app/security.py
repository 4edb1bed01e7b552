"""Passwords, tokens and signatures."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from threading import BoundedSemaphore
from typing import Any, NamedTuple, Protocol

import jwt
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from app.about import ABOUT
from app.config import Settings
from app.issuer import IssuerKeys
from app.problems import Forbidden, Unauthorized

ADMIN = "admin"
"""The scope that may read all users and keep the catalogue."""

ACCESS_TOKEN = "at+jwt"  # noqa: S105 -- a kind, not a token
"""What a token says that it is (RFC 9068): no other kind of JWT opens anything here."""

HASHES_AT_ONCE = 4
"""Each takes 64 MiB and four threads: a crowd at the door waits, instead of taking all the memory."""

_hashing = BoundedSemaphore(HASHES_AT_ONCE)


class Principal(NamedTuple):
    """Who sends a request, as far as the token says."""

    subject: str
    scopes: frozenset[str]
    claims: Mapping[str, Any]

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    def require(self, scope: str) -> None:
        """Forbidden when the token does not hold `scope`."""
        if scope not in self.scopes:
            raise Forbidden


class TokenVerifier(Protocol):
    """Tells whose a token is."""

    def may_wait(self, token: str, /) -> bool:
        """Whether `verify` may wait for the network; if so, call it in a thread."""
        ...

    def verify(self, token: str) -> Principal:
        """The token's principal. Unauthorized when it is no valid access token for this service."""
        ...


class LocalTokens:
    """Access tokens that the service signs itself: JWT (RFC 9068), HMAC-SHA-256, good for minutes."""

    ALGORITHM = "HS256"
    NAME = ABOUT.name
    """Of who issues them, and of whom they are for: another service with the same secret refuses them."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret_key.get_secret_value()
        self.lifetime = timedelta(minutes=settings.access_token_minutes)
        # A client sends the same token for minutes: its signature is checked once, its end each time.
        self._checked = lru_cache(maxsize=1024)(self._check)

    def issue(self, subject: str, scopes: Iterable[str]) -> str:
        """An access token for `subject`."""
        now = datetime.now(UTC)
        claims = {
            "iss": self.NAME,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "aud": self.NAME,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key, self.ALGORITHM, headers={"typ": ACCESS_TOKEN})

    def may_wait(self, _token: str, /) -> bool:
        return False

    def verify(self, token: str) -> Principal:
        principal = self._checked(token)
        if int(principal.claims["exp"]) <= time.time():
            raise Unauthorized
        return principal

    def _check(self, token: str) -> Principal:
        header = _header(token, (ACCESS_TOKEN,), (self.ALGORITHM,))
        return _principal(token, self._key, [header["alg"]], audience=self.NAME, issuer=self.NAME)


class IssuerTokens:
    """Access tokens of an identity provider, checked with the keys that it publishes."""

    ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
    """Only signatures by a key that the service does not hold: with an HMAC, a public key would be the secret."""
    TYPES = (ACCESS_TOKEN, f"application/{ACCESS_TOKEN}", "jwt")
    """What providers call an access token; the plain `JWT` is as old as they are."""

    def __init__(self, issuer: str, audience: str) -> None:
        self.issuer = issuer
        self.audience = audience
        self.keys = IssuerKeys(issuer)

    def may_wait(self, token: str, /) -> bool:
        try:
            return not self.keys.is_known(self._key_id(token))
        except Unauthorized:
            return False

    def verify(self, token: str) -> Principal:
        key = self.keys.find(self._key_id(token))
        return _principal(token, key, self.ALGORITHMS, audience=self.audience, issuer=self.issuer)

    def _key_id(self, token: str) -> str:
        """The name of the key that signed, for tokens that can be good at all: the provider is asked for no other."""
        key_id = _header(token, self.TYPES, self.ALGORITHMS).get("kid")
        if not isinstance(key_id, str):
            raise Unauthorized
        return key_id


def token_verifier(settings: Settings) -> TokenVerifier:
    """The verifier that the settings ask for: exactly one kind of token is accepted."""
    if settings.jwt_issuer and settings.jwt_audience:
        return IssuerTokens(settings.jwt_issuer, settings.jwt_audience)
    return LocalTokens(settings)


def _header(token: str, types: Sequence[str], algorithms: Sequence[str]) -> dict[str, Any]:
    """The header of `token`. Unauthorized unless it says that it is an access token, signed as it must be."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise Unauthorized from None
    if str(header.get("typ", "jwt")).lower() not in types or header.get("alg") not in algorithms:
        raise Unauthorized
    return header


def _principal(token: str, key: Any, algorithms: Iterable[str], *, audience: str, issuer: str) -> Principal:
    own = isinstance(key, str)
    try:
        claims = jwt.decode(
            token,
            key,
            list(algorithms),
            audience=audience,
            issuer=issuer,
            options={
                "require": ["exp", "sub", "aud", "iss"],
                "strict_aud": own,
                "enforce_minimum_key_length": not own,  # of our own, `config.py` sees to it
            },
        )
    except jwt.PyJWTError:
        raise Unauthorized from None
    scope = claims.get("scope")
    return Principal(claims["sub"], frozenset(scope.split() if isinstance(scope, str) else ()), claims)


@cache
def _passwords() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys_hash() -> str:
    return hash_password(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """The Argon2id hash of `password`. Takes tens of milliseconds of a core, on purpose: call it in a thread."""
    with _hashing:
        return _passwords().hash(password)


def verify_password(password: str, hashed: str | None) -> bool:
    """Whether `password` is the one that was hashed. Without a hash, False after the same work.

    So that the time a log-in takes does not tell which accounts exist. Call it in a thread.
    """
    known = hashed or _nobodys_hash()
    try:
        with _hashing:
            matches = _passwords().verify(password, known)
    except UnknownHashError:
        return False
    return matches and hashed is not None


def network(address: str) -> str:
    """The address itself; of IPv6 the /64 network, from which one customer may call with 2⁶⁴ addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))


def new_token() -> str:
    """256 random bits, as text for a URL."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a random token: enough to know it again, useless to whoever reads the database."""
    return hashlib.sha256(token.encode()).hexdigest()


def signature(secret: str, body: bytes) -> str:
    """The HMAC-SHA-256 of `body`, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signature_matches(secret: str, body: bytes, offered: str) -> bool:
    """Whether `offered` signs `body`, in a time that does not tell how close it came."""
    return hmac.compare_digest(signature(secret, body).encode(), offered.encode())

"""Passwords, tokens and signatures."""

import hashlib
import hmac
import json
import secrets
import time
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple, Protocol

import jwt
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from app.config import Settings
from app.problems import Forbidden, Unauthorized, Unavailable

ADMIN = "admin"
"""The scope that may read all users and keep the catalogue."""


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

    blocking: bool
    """Whether `verify` may wait for the network; if so, call it in a thread."""

    def verify(self, token: str) -> Principal:
        """The token's principal. Unauthorized when it is no valid token of this service."""
        ...


class LocalTokens:
    """Access tokens that the service signs itself: JWT, HMAC-SHA-256, good for minutes."""

    blocking = False
    ALGORITHM = "HS256"
    AUDIENCE = "access"

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret_key.get_secret_value()
        self.lifetime = timedelta(minutes=settings.access_token_minutes)
        # A client sends the same token for minutes: its signature is checked once, its end each time.
        self._checked = lru_cache(maxsize=1024)(self._check)

    def issue(self, subject: str, scopes: Iterable[str]) -> str:
        """An access token for `subject`."""
        now = datetime.now(UTC)
        claims = {
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "aud": self.AUDIENCE,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key, self.ALGORITHM)

    def verify(self, token: str) -> Principal:
        principal = self._checked(token)
        if int(principal.claims["exp"]) <= time.time():
            raise Unauthorized
        return principal

    def _check(self, token: str) -> Principal:
        return _principal(token, self._key, [self.ALGORITHM], audience=self.AUDIENCE)


class IssuerTokens:
    """Access tokens of an identity provider, checked with the keys that it publishes (JWKS, RFC 7517)."""

    blocking = True
    ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
    """Only signatures by a key that the service does not hold: with an HMAC, a public key would be the secret."""

    TIMEOUT = 5.0

    def __init__(self, issuer: str, audience: str) -> None:
        self.issuer = issuer
        self.audience = audience

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        # OpenID Connect Discovery 1.0, section 4: the issuer says where its keys are.
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        with urllib.request.urlopen(url, timeout=self.TIMEOUT) as response:  # noqa: S310 -- checked in Settings
            uri = json.load(response)["jwks_uri"]
        return jwt.PyJWKClient(uri, timeout=self.TIMEOUT, lifespan=300, cooldown_duration=5)

    def verify(self, token: str) -> Principal:
        try:
            key = self._keys.get_signing_key_from_jwt(token)
        except (jwt.PyJWKClientConnectionError, OSError, KeyError, ValueError):
            raise Unavailable("The identity provider cannot be reached.") from None
        except jwt.PyJWTError:
            raise Unauthorized from None
        return _principal(token, key, self.ALGORITHMS, audience=self.audience, issuer=self.issuer)


def token_verifier(settings: Settings) -> TokenVerifier:
    """The verifier that the settings ask for: exactly one kind of token is accepted."""
    if settings.jwt_issuer and settings.jwt_audience:
        return IssuerTokens(settings.jwt_issuer, settings.jwt_audience)
    return LocalTokens(settings)


def _principal(
    token: str, key: Any, algorithms: Iterable[str], *, audience: str, issuer: str | None = None
) -> Principal:
    try:
        claims = jwt.decode(
            token,
            key,
            list(algorithms),
            audience=audience,
            issuer=issuer,
            options={"require": ["exp", "sub", "aud"], "strict_aud": issuer is None},
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
    return _passwords().hash(password)


def verify_password(password: str, hashed: str | None) -> bool:
    """Whether `password` is the one that was hashed. Without a hash, False after the same work.

    So that the time a log-in takes does not tell which accounts exist. Call it in a thread.
    """
    try:
        matches = _passwords().verify(password, hashed or _nobodys_hash())
    except UnknownHashError:
        return False
    return matches and hashed is not None


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

"""Access tokens of the service or of an identity provider, and random tokens."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import jwt

from app.core.config import ABOUT, Settings
from app.core.problems import Forbidden, Unauthorized
from app.core.security.issuer import IssuerKeys

ADMIN = "admin"
"""The scope of admins. A log-in gives admins the scopes of all roles, too."""

ACCESS_TOKEN = "at+jwt"  # noqa: S105 -- a type, not a token
"""The `typ` of an access token (RFC 9068). Other kinds of JWT are refused, against token confusion."""


class AccessToken(NamedTuple):
    """A verified access token."""

    subject: str
    scopes: frozenset[str]
    claims: Mapping[str, Any]
    user_id: int | None = None
    """Id of the user of an API key or a token of an identity provider, or None for an unknown user."""
    key_id: int | None = None
    """Id of the API key that was sent as the token."""
    ask: Callable[[], Mapping[str, Any]] | None = None
    """Asks the identity provider about the user."""

    @property
    def session_id(self) -> int | None:
        """Id of the session of a token that this service issued."""
        session = self.claims.get("sid")  # an identity provider may use text
        return session if isinstance(session, int) else None

    @property
    def logged_in_at(self) -> float | None:
        """Time of the log-in (OpenID Connect Core 1.0, section 2), in seconds since 1970. None without the claim."""
        found = self.claims.get("auth_time")
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    @property
    def is_machine(self) -> bool:
        """Return whether a provider issued the token to a client without a user (grant `client_credentials`).

        RFC 9068, section 2.2: the subject is the client. Claims of Auth0 (`gty`) and Entra (`idtyp`) say it, too.
        """
        client = self.claims.get("client_id"), self.claims.get("azp"), self.claims.get("cid")
        granted = self.claims.get("gty") == "client-credentials" or self.claims.get("idtyp") == "app"
        return granted or self.subject in client

    def profile(self) -> Mapping[str, Any]:
        """Return the claims about the user: of the token, and without e-mail there, of the provider.

        May send a request. Forbidden for a machine, Unavailable if the provider does not answer.
        """
        if self.is_machine:
            raise Forbidden("This request needs a user, but the token belongs to a machine.")
        return {**self.claims, **self.ask()} if self.ask and "email" not in self.claims else self.claims

    def require_log_in(self) -> None:
        """Raise Forbidden for an API key."""
        if self.key_id is not None:
            raise Forbidden("An API key does not allow this: log in.")

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the token holds `scope`."""
        if scope not in self.scopes:
            raise Forbidden


class TokenVerifier(Protocol):
    """Verifies access tokens."""

    def may_wait(self, token: str, /) -> bool:
        """Return whether `verify` may send a request. If so, call `verify` in a thread."""
        ...

    def verify(self, token: str) -> AccessToken:
        """Return the verified token. Unauthorized unless it is a valid access token for this service."""
        ...


class LocalTokens:
    """Access tokens that the service signs: JWT (RFC 9068) with HMAC-SHA-256, valid for ACCESS_TOKEN_MINUTES."""

    ALGORITHM = "HS256"
    NAME = ABOUT.name
    """Issuer and audience of the tokens. Another service with the same secret refuses them."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret_key.get_secret_value()
        self.lifetime = timedelta(minutes=settings.access_token_minutes)
        # Clients send the same token many times: cache the check of the signature. The expiry is checked each time.
        self._checked = lru_cache(maxsize=1024)(self._check)

    def lifetime_until(self, ends: datetime | None) -> timedelta:
        """Return the lifetime of an access token that is issued now, for a session that expires at `ends`."""
        return self.lifetime if ends is None else min(self.lifetime, ends - datetime.now(UTC))

    def issue(
        self,
        subject: str,
        scopes: Iterable[str],
        session_id: int | None = None,
        *,
        ends: datetime | None = None,
        revision: float | None = None,
    ) -> str:
        """Return an access token for `subject`. A token with a session ends with the session, at `ends` at the latest.

        `revision` is the time of the last revocation when the scopes were read: a later one revokes the token.
        """
        now = datetime.now(UTC)
        claims = {
            "iss": self.NAME,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "aud": self.NAME,
            "iat": now.timestamp(),  # with fractions: a log-in right after a revocation gives a valid token
            "exp": now + self.lifetime_until(ends),
        }
        if session_id is not None:
            claims["sid"] = session_id
        if revision is not None:
            claims["rev"] = revision
        return jwt.encode(claims, self._key, self.ALGORITHM, headers={"typ": ACCESS_TOKEN})

    def may_wait(self, _token: str, /) -> bool:
        return False

    def verify(self, token: str) -> AccessToken:
        verified = self._checked(token)
        if int(verified.claims["exp"]) <= time.time():
            raise Unauthorized
        return verified

    def _check(self, token: str) -> AccessToken:
        header = _header(token, (ACCESS_TOKEN,), (self.ALGORITHM,))
        claims = _verified(token, self._key, [header["alg"]], audience=self.NAME, issuer=self.NAME)
        scope = claims.get("scope")
        return AccessToken(claims["sub"], frozenset(scope.split() if isinstance(scope, str) else ()), claims)


class IssuerTokens:
    """Access tokens of an identity provider, verified with its public keys."""

    RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    ALGORITHMS = (*RSA_ALGORITHMS, "ES256", "ES384", "EdDSA")
    """Asymmetric only, against algorithm confusion: with HMAC allowed, a token could be signed with the public key."""
    TYPES = (ACCESS_TOKEN, f"application/{ACCESS_TOKEN}", "jwt")
    """Accepted values of `typ`. Older providers use `JWT`."""
    ID_TOKEN = frozenset({"nonce", "at_hash", "c_hash"})
    """Claims of ID tokens only. The audience of an ID token is its client, which may be the audience of the service."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        scope_claims: Sequence[str] = ("scope",),
        scope_map: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.keys = IssuerKeys(issuer)
        self.scope_claims = scope_claims
        self.scope_map = scope_map

    def may_wait(self, token: str, /) -> bool:
        try:
            return not self.keys.is_known(self._key_id(token))
        except Unauthorized:
            return False

    def verify(self, token: str) -> AccessToken:
        key = self.keys.find(self._key_id(token))
        algorithms = self.ALGORITHMS if isinstance(key, jwt.PyJWK) else self.RSA_ALGORITHMS
        claims = _verified(token, key, algorithms, audience=self.audience, issuer=self.issuer)
        if self.ID_TOKEN & claims.keys():
            raise Unauthorized
        subject: str = claims["sub"]
        return AccessToken(subject, self._scopes(claims), claims, ask=lambda: self.keys.userinfo(token, subject))

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return the scopes in `scope_claims`: words of text (RFC 8693, section 4.2), or texts of a list."""
        values: set[str] = set()
        for value in map(claims.get, self.scope_claims):
            parts = value.split() if isinstance(value, str) else value
            values |= {part for part in parts if isinstance(part, str)} if isinstance(parts, list) else set()
        mapped = {scope for value, scope in self.scope_map if value in values}
        return frozenset(mapped if self.scope_map else values)

    def _key_id(self, token: str) -> str:
        """Return the key id of a token. Unauthorized for a wrong type or algorithm: the provider is not asked then."""
        key_id = _header(token, self.TYPES, self.ALGORITHMS).get("kid")
        if not isinstance(key_id, str):
            raise Unauthorized
        return key_id


def token_verifier(settings: Settings) -> TokenVerifier:
    """Return the verifier for the settings. Exactly one kind of token is accepted."""
    if settings.jwt_issuer and settings.jwt_audience:
        of_scopes = settings.jwt_scope_claims, settings.jwt_scope_map
        return IssuerTokens(settings.jwt_issuer, settings.jwt_audience, *of_scopes)
    return LocalTokens(settings)


def _header(token: str, types: Sequence[str], algorithms: Sequence[str]) -> dict[str, Any]:
    """Return the header of `token`. Unauthorized for a wrong type or algorithm."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise Unauthorized from None
    if str(header.get("typ", "jwt")).lower() not in types or header.get("alg") not in algorithms:
        raise Unauthorized
    return header


def _verified(token: str, key: Any, algorithms: Iterable[str], *, audience: str, issuer: str) -> dict[str, Any]:
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
                "enforce_minimum_key_length": not own,  # `config.py` checks the length of SECRET_KEY
            },
        )
    except jwt.PyJWTError:
        raise Unauthorized from None
    # OpenID Connect Core 1.0, section 2. PostgreSQL refuses NUL and lone surrogates in text.
    if not 1 <= len(claims["sub"]) <= 255 or not claims["sub"].isprintable():
        raise Unauthorized
    return claims


def new_token() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Return the SHA-256 hash of a random token. Only the hash is stored, so that a leaked database has no tokens."""
    return hashlib.sha256(token.encode()).hexdigest()

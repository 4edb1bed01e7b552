"""Bearer tokens: the contents of a verified token, and the checks of a JWT."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jwt
from jwt.types import Options

from app.core.problems import Forbidden, Unauthorized

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
    session_id: int | None = None
    """Id of the session of a token that this service issued."""
    logged_in_at: float | None = None
    """Time of the log-in at the identity provider, in seconds since 1970. None without the claim `auth_time`."""

    @property
    def is_machine(self) -> bool:
        """Return whether a provider issued the token to a client without a user (grant `client_credentials`).

        RFC 9068, section 2.2: the subject is the client. Auth0 uses the claim `gty`, and Entra `idtyp`.
        """
        client = self.claims.get("client_id"), self.claims.get("azp"), self.claims.get("cid")
        granted = self.claims.get("gty") == "client-credentials" or self.claims.get("idtyp") == "app"
        return granted or self.subject in client

    def profile(self) -> Mapping[str, Any]:
        """Return the claims about the user. If the token has no e-mail, add those of the provider.

        May send a request. Raise Forbidden for a machine, Unavailable if the provider does not answer.
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

    def verify(self, token: str) -> AccessToken:
        """Return the verified token. Raise Unauthorized unless it is a valid access token for this service."""


def log_in_time(claims: Mapping[str, Any]) -> float | None:
    """Return the time of the log-in (OpenID Connect Core 1.0, section 2), or None without a valid claim."""
    found = claims.get("auth_time")
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def checked_header(token: str, types: Sequence[str], algorithms: Sequence[str]) -> dict[str, Any]:
    """Return the header of `token`. Raise Unauthorized for a wrong type or algorithm."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise Unauthorized from None
    if str(header.get("typ", "jwt")).lower() not in types or header.get("alg") not in algorithms:
        raise Unauthorized
    return header


def verified_claims(token: str, key: Any, algorithms: Iterable[str], *, audience: str, issuer: str) -> dict[str, Any]:
    own = isinstance(key, str)
    options: Options = {
        "require": ["exp", "sub", "aud", "iss"],
        "strict_aud": own,
        "enforce_minimum_key_length": not own,  # `config.py` checks the length of SECRET_KEY
    }
    try:
        claims = jwt.decode(token, key, list(algorithms), audience=audience, issuer=issuer, options=options)
    except jwt.PyJWTError:
        raise Unauthorized from None
    # OpenID Connect Core 1.0, section 2. PostgreSQL refuses NUL and lone surrogates in text.
    if not 1 <= len(claims["sub"]) <= 255 or not claims["sub"].isprintable():
        raise Unauthorized
    return claims

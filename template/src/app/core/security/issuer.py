"""Access tokens of an identity provider, its public keys (JWKS, RFC 7517) and its userinfo endpoint."""

import json
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

import jwt

from app.core.problems import Unauthorized, Unavailable
from app.core.security.bearer import ACCESS_TOKEN, AccessToken, checked_header, log_in_time, verified_claims

MAX_BYTES = 262_144
"""Maximum size of a document of the provider: enough for hundreds of keys."""

UNREACHABLE = "The identity provider cannot be reached."


class UnusableError(Exception):
    """The provider does not answer, or the response is not valid."""


class NoAnswerError(UnusableError):
    """The provider does not answer now. A later request may succeed."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirects: the host could redirect to an internal server (SSRF)."""


@cache
def _opener() -> urllib.request.OpenerDirector:
    # Built once: loading the certificates of the system takes longer than a request.
    return urllib.request.build_opener(_NoRedirects)


class Published(NamedTuple):
    """The keys and the userinfo endpoint that the provider publishes."""

    by_id: dict[str, jwt.PyJWK | Any]
    """RSA keys without `alg` are not bound to an algorithm (RFC 7517, section 4.4). PyJWT would bind them to RS256."""
    userinfo_url: str = ""
    fetched: float = float("-inf")


class IssuerKeys:
    """Finds the key that a token names. Thread-safe. Times are in seconds.

    Only one thread at a time sends a request to the provider. The others continue with the cached keys.
    """

    TIMEOUT = 3.0
    """Time limit for a whole response of the provider."""
    FRESH = 300.0
    """Age of cached keys after which they are fetched again. A revoked key is accepted at most this long."""
    KEPT = 3600.0
    """Maximum age of cached keys while the provider does not answer. Older tokens have expired by then."""
    PAUSE = 5.0
    """Minimum time between two requests, also for unknown keys and after a failed request."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._schemes = ("https",) if issuer.startswith("https:") else ("https", "http")
        self._keys = Published({})
        self._asked = float("-inf")
        self._failed = False
        self._asking = threading.Lock()

    def is_known(self, key_id: str) -> bool:
        """Return whether `find` can answer from the cache, without a request to the provider."""
        return key_id in self._keys.by_id and self._age() < self.FRESH

    def find(self, key_id: str) -> jwt.PyJWK | Any:
        """Return the key with this id: a PyJWK, or an RSA key that is not bound to an algorithm.

        Raise Unauthorized for an unknown key, Unavailable if the provider does not answer.
        """
        if not self.is_known(key_id):
            # If the cached key is still usable, do not wait for the request of another thread.
            known = key_id in self._keys.by_id and self._age() < self.KEPT
            if self._asking.acquire(blocking=not known):
                try:
                    self._ask()
                finally:
                    self._asking.release()
        key = self._keys.by_id.get(key_id) if self._age() < self.KEPT else None
        if key is None:
            raise Unavailable(UNREACHABLE) if self._failed else Unauthorized
        return key

    def userinfo(self, token: str, subject: str) -> dict[str, Any]:
        """Return the claims of the userinfo endpoint; none if the provider refuses the token or has no endpoint.

        Raise Unavailable if the provider does not answer.
        """
        try:
            found = self._get(self._keys.userinfo_url, token)
        except NoAnswerError:
            raise Unavailable(UNREACHABLE) from None
        except (UnusableError, ValueError):  # ValueError for an invalid URL
            return {}
        # OpenID Connect Core 1.0, section 5.3.2: against token substitution.
        return found if found.get("sub") == subject else {}

    def _age(self) -> float:
        return time.monotonic() - self._keys.fetched

    def _ask(self) -> None:
        if time.monotonic() - self._asked < self.PAUSE:
            return
        try:
            self._keys = self._fetch()._replace(fetched=time.monotonic())
            self._failed = False
        except UnusableError:
            self._failed = True
        finally:
            self._asked = time.monotonic()

    def _fetch(self) -> Published:
        # OpenID Connect Discovery 1.0, section 4: the document names the issuer and the URL of its keys.
        document = self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise UnusableError
        try:
            found = self._get(str(document.get("jwks_uri")))
            keys = jwt.PyJWKSet.from_dict(found).keys
            bound = {one.get("kid") for one in found["keys"] if "alg" in one or one.get("kty") != "RSA"}
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            raise UnusableError from None
        signing = {key.key_id: key for key in keys if key.key_id and key.public_key_use in {"sig", None}}
        by_id = {key_id: key if key_id in bound else key.key for key_id, key in signing.items()}
        return Published(by_id, str(document.get("userinfo_endpoint", "")))

    def _get(self, url: str, token: str | None = None) -> dict[str, Any]:
        """Return a JSON object. Raise UnusableError for any other response, above MAX_BYTES, or after TIMEOUT."""
        if urlsplit(url).scheme not in self._schemes:
            raise UnusableError
        deadline = time.monotonic() + self.TIMEOUT
        body = b""
        request = urllib.request.Request(url)  # noqa: S310 -- the scheme is checked above
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with _opener().open(request, timeout=self.TIMEOUT) as response:
                # The socket timeout limits only each read. The deadline limits the whole response.
                while (piece := response.read1(65_536)) and len(body) <= MAX_BYTES and time.monotonic() < deadline:
                    body += piece
            if piece:
                raise NoAnswerError
            found = json.loads(body)
        except HTTPError as error:
            error.close()  # the error is also the response object
            later = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == HTTPStatus.TOO_MANY_REQUESTS
            raise (NoAnswerError if later else UnusableError) from None
        except (OSError, HTTPException):
            raise NoAnswerError from None
        except (ValueError, RecursionError):
            raise UnusableError from None
        if not isinstance(found, dict):
            raise UnusableError
        return found


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
        claims = verified_claims(token, key, algorithms, audience=self.audience, issuer=self.issuer)
        if self.ID_TOKEN & claims.keys():
            raise Unauthorized
        subject: str = claims["sub"]
        return AccessToken(
            subject,
            self._scopes(claims),
            claims,
            ask=lambda: self.keys.userinfo(token, subject),
            logged_in_at=log_in_time(claims),
        )

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return the scopes in `scope_claims`: words of text (RFC 8693, section 4.2), or texts of a list."""
        values: set[str] = set()
        for value in map(claims.get, self.scope_claims):
            parts = value.split() if isinstance(value, str) else value
            values |= {part for part in parts if isinstance(part, str)} if isinstance(parts, list) else set()
        mapped = {scope for value, scope in self.scope_map if value in values}
        return frozenset(mapped if self.scope_map else values)

    def _key_id(self, token: str) -> str:
        """Return the key id of a token. Raise Unauthorized for a wrong type or algorithm, without a request."""
        key_id = checked_header(token, self.TYPES, self.ALGORITHMS).get("kid")
        if not isinstance(key_id, str):
            raise Unauthorized
        return key_id

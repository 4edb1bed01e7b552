"""Public keys of an identity provider (JWKS, RFC 7517): fetching, caching, refreshing."""

import json
import threading
import time
import urllib.request
from functools import cache
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

import jwt

from app.core.problems import Unauthorized, Unavailable

MAX_BYTES = 262_144
"""Maximum size of a document of the provider: enough for hundreds of keys."""


class UnusableError(Exception):
    """The provider does not answer, or the response is not valid."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirects: the host could redirect to an internal server (SSRF)."""


@cache
def _opener() -> urllib.request.OpenerDirector:
    # Built once: loading the certificates of the system takes longer than a request.
    return urllib.request.build_opener(_NoRedirects)


class _Keys(NamedTuple):
    """The published keys, and the time of the request."""

    by_id: dict[str, jwt.PyJWK]
    fetched: float


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
        self._keys = _Keys({}, float("-inf"))
        self._asked = float("-inf")
        self._failed = False
        self._asking = threading.Lock()

    def is_known(self, key_id: str) -> bool:
        """Return whether `find` can answer from the cache, without a request to the provider."""
        return key_id in self._keys.by_id and self._age() < self.FRESH

    def find(self, key_id: str) -> jwt.PyJWK:
        """Return the key with this id. Unauthorized for an unknown key, Unavailable if the provider does not answer."""
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
            raise Unavailable("The identity provider cannot be reached.") if self._failed else Unauthorized
        return key

    def _age(self) -> float:
        return time.monotonic() - self._keys.fetched

    def _ask(self) -> None:
        if time.monotonic() - self._asked < self.PAUSE:
            return
        try:
            self._keys = _Keys(self._fetch(), time.monotonic())
            self._failed = False
        except UnusableError:
            self._failed = True
        finally:
            self._asked = time.monotonic()

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        # OpenID Connect Discovery 1.0, section 4: the document names the issuer and the URL of its keys.
        document = self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise UnusableError
        try:
            published = jwt.PyJWKSet.from_dict(self._get(str(document.get("jwks_uri")))).keys
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            raise UnusableError from None
        return {key.key_id: key for key in published if key.key_id and key.public_key_use in {"sig", None}}

    def _get(self, url: str) -> dict[str, Any]:
        """Return a JSON object. UnusableError for any other response, above MAX_BYTES, or after TIMEOUT."""
        if urlsplit(url).scheme not in self._schemes:
            raise UnusableError
        deadline = time.monotonic() + self.TIMEOUT
        body = b""
        try:
            with _opener().open(url, timeout=self.TIMEOUT) as response:
                # The socket timeout limits only each read. The deadline limits the whole response.
                while (piece := response.read1(65_536)) and len(body) <= MAX_BYTES and time.monotonic() < deadline:
                    body += piece
            found = json.loads(body)
        except HTTPError as error:
            error.close()  # the error is also the response object
            raise UnusableError from None
        except (OSError, HTTPException, ValueError, RecursionError):
            raise UnusableError from None
        if piece or not isinstance(found, dict):
            raise UnusableError
        return found

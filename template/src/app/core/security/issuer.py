"""The keys that an identity provider publishes (JWKS, RFC 7517): fetched, kept, and fetched again when they change."""

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
"""The most that a document of the provider may hold: hundreds of keys."""


class UnusableError(Exception):
    """The provider does not answer, or not with what was asked for."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: whoever answers for the provider could send the service anywhere."""


@cache
def _opener() -> urllib.request.OpenerDirector:
    # Reading the certificates of the system takes longer than a request.
    return urllib.request.build_opener(_NoRedirects)


class _Keys(NamedTuple):
    """What the provider has published, and when it was asked."""

    by_id: dict[str, jwt.PyJWK]
    fetched: float


class IssuerKeys:
    """Finds the key that a token names. Safe for threads; times are in seconds.

    One thread asks the provider at a time, while the others go on with the keys that are known.
    """

    TIMEOUT = 3.0
    """How long the provider may take for a document, from the first byte to the last."""
    FRESH = 300.0
    """How long keys are used before the provider is asked again, so that a key that it withdraws is refused then."""
    KEPT = 3600.0
    """How long they are used while it does not answer: by then the tokens have ended that it made before."""
    PAUSE = 5.0
    """The time between two requests, whatever keys the tokens name, and also when the first was of no use."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._schemes = ("https",) if issuer.startswith("https:") else ("https", "http")
        self._keys = _Keys({}, float("-inf"))
        self._asked = float("-inf")
        self._failed = False
        self._asking = threading.Lock()

    def is_known(self, key_id: str) -> bool:
        """Whether `find` has the key at hand, and need not ask the provider."""
        return key_id in self._keys.by_id and self._age() < self.FRESH

    def find(self, key_id: str) -> jwt.PyJWK:
        """The provider's key of this name. Unauthorized when it has none, Unavailable when it does not say."""
        if not self.is_known(key_id):
            # Who has a key that was good a moment ago does not wait for what another thread is told.
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
        # OpenID Connect Discovery 1.0, section 4: the issuer says where its keys are, and who it is.
        document = self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise UnusableError
        try:
            published = jwt.PyJWKSet.from_dict(self._get(str(document.get("jwks_uri")))).keys
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            raise UnusableError from None
        return {key.key_id: key for key in published if key.key_id and key.public_key_use in {"sig", None}}

    def _get(self, url: str) -> dict[str, Any]:
        """A JSON object. UnusableError unless it is one, not too long, and there in time."""
        if urlsplit(url).scheme not in self._schemes:
            raise UnusableError
        deadline = time.monotonic() + self.TIMEOUT
        body = b""
        try:
            with _opener().open(url, timeout=self.TIMEOUT) as response:
                # Piece by piece: the time limit of the connection is for each, and a slow one may send many.
                while (piece := response.read1(65_536)) and len(body) <= MAX_BYTES and time.monotonic() < deadline:
                    body += piece
            found = json.loads(body)
        except HTTPError as error:
            error.close()  # it is also the response
            raise UnusableError from None
        except (OSError, HTTPException, ValueError, RecursionError):
            raise UnusableError from None
        if piece or not isinstance(found, dict):
            raise UnusableError
        return found

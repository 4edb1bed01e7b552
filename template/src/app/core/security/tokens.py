"""Access tokens of the service, their revocation, and random tokens."""

import hashlib
import secrets
import time
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from threading import Lock

import jwt

from app.core.config import ABOUT, Settings
from app.core.problems import Unauthorized
from app.core.security.bearer import ACCESS_TOKEN, AccessToken, TokenVerifier, checked_header, verified_claims
from app.core.security.issuer import IssuerTokens

REVOCATION_MARGIN = timedelta(minutes=1)
"""Revocations are read this long after the last revoked token has expired: clocks differ, transactions take time."""


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
        header = checked_header(token, (ACCESS_TOKEN,), (self.ALGORITHM,))
        claims = verified_claims(token, self._key, [header["alg"]], audience=self.NAME, issuer=self.NAME)
        scope = claims.get("scope")
        scopes = frozenset(scope.split() if isinstance(scope, str) else ())
        return AccessToken(claims["sub"], scopes, claims, session_id=claims.get("sid"))


def token_verifier(settings: Settings) -> TokenVerifier:
    """Return the verifier for the settings. Exactly one kind of token is accepted."""
    if settings.jwt_issuer and settings.jwt_audience:
        of_scopes = settings.jwt_scope_claims, settings.jwt_scope_map
        return IssuerTokens(settings.jwt_issuer, settings.jwt_audience, *of_scopes)
    return LocalTokens(settings)


class Reading(Future[bool]):
    """One read of the revocations, for all requests that begin meanwhile.

    The result is False if the request that reads was cancelled: another request must read.
    """

    _numbers = count(1)

    def __init__(self, began: float) -> None:
        super().__init__()
        self.number = next(self._numbers)
        self.began = began
        self.set_running_or_notify_cancel()  # the end of a waiting request must not cancel the read

    def fail(self, error: BaseException) -> None:
        """End the read without a result. Waiting requests raise `error`, too."""
        if isinstance(error, Exception):
            self.set_exception(error)
        else:
            self.set_result(False)


class Revocations:
    """The last revocation of access tokens by user, and the ended sessions.

    Deactivation, a new password and a lost role revoke all tokens of a user. A log-out ends those of its session.

    Each process reads the revocations from the database at most once in SECONDS, for any number of requests: so it
    refuses a token at the latest SECONDS after the commit of the revocation. The process that revoked the token refuses
    it at the next request. The cost: two indexed queries in SECONDS, for which requests that begin meanwhile wait.
    """

    SECONDS = 1.0

    def __init__(self) -> None:
        self._lock = Lock()
        self._times: dict[str, float] = {}
        self._ended: frozenset[int] = frozenset()
        self._last: Reading | None = None
        self._known = 0
        self._fresh_since = float("-inf")

    def begin(self) -> tuple[Reading, bool] | None:
        """Return None if the known revocations are fresh. Otherwise return a read, and whether it is new.

        The caller performs a new read, and calls `update` or `Reading.fail`. For a running read, the caller waits.
        """
        now = time.monotonic()
        if now - self._fresh_since < self.SECONDS:
            return None
        with self._lock:
            if self._last and not self._last.done() and now - self._last.began < self.SECONDS:
                return self._last, False
            self._last = Reading(now)
            return self._last, True

    def update(self, reading: Reading, revoked: Iterable[tuple[int, datetime]], ended: Iterable[int] = ()) -> None:
        """Replace all known revocations: ids of users with the time of the last revocation, and ids of sessions.

        The result of a slow read does not replace that of a read that began later.
        """
        times, sessions = {str(user_id): at.timestamp() for user_id, at in revoked}, frozenset(ended)
        with self._lock:
            if reading.number > self._known:
                self._known, self._times, self._ended = reading.number, times, sessions
            if reading is self._last:
                self._fresh_since = reading.began
        reading.set_result(True)

    def expire(self) -> None:
        """Read the revocations before the next request. A read that has begun may lack the latest one."""
        with self._lock:
            self._last = None
            self._fresh_since = float("-inf")

    def check(self, token: AccessToken) -> None:
        """Raise Unauthorized for a token of an ended session, or from before the last revocation of its user."""
        revoked = self._times.get(token.subject)
        # Not the time of issue: the rights were read earlier, perhaps before the revocation.
        known = token.claims.get("rev", token.claims["iat"])
        if (revoked is not None and known < revoked) or token.session_id in self._ended:
            raise Unauthorized


def revision_of(revoked_at: datetime | None) -> float:
    """Return the revision of the rights of a user with this last revocation, for an access token."""
    return revoked_at.timestamp() if revoked_at else 0.0


def later_than(last: datetime | None) -> datetime:
    """Return the time of a revocation: now, but later than the last one, which another clock may have set."""
    now = datetime.now(UTC)
    return max(now, last + timedelta(microseconds=1)) if last else now


def new_token() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Return the SHA-256 hash of a random token. Only the hash is stored, so that a leaked database has no tokens."""
    return hashlib.sha256(token.encode()).hexdigest()

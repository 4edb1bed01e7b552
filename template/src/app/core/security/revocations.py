"""Revocations of access tokens, as far as this process knows them."""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock

from app.core.problems import Unauthorized
from app.core.security.tokens import AccessToken

MARGIN = timedelta(minutes=1)
"""Time that a revocation is read after its last token has expired: clocks differ, and a transaction takes time."""


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
        """Return None if the known revocations are fresh. Otherwise return a read, and whether it is the caller's.

        The caller performs an own read, and calls `update` or `Reading.fail`. The caller waits for another read.
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
        # The time of issue is too late as a limit: the rights were read before, perhaps during the revocation.
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

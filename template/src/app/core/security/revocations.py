"""Access tokens that ended before they expire."""

import time
from collections.abc import Iterable
from datetime import datetime

from app.core.problems import Unauthorized
from app.core.security.tokens import AccessToken


class Revocations:
    """The last revocation of access tokens by user, and the ended sessions.

    Deactivation, a new password and a lost role revoke all tokens of a user. A log-out ends those of its session.

    The process reads the revocations from the database at most once in SECONDS, for any number of requests. So each
    process refuses a revoked token within SECONDS. The process that revoked the token reads at the next request.
    """

    SECONDS = 1.0

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._ended: frozenset[int] = frozenset()
        self._read_at = float("-inf")

    def begin(self) -> bool:
        """Return whether the caller must read the revocations and call `update`. Other callers do not wait for it."""
        now = time.monotonic()
        if now - self._read_at < self.SECONDS:
            return False
        self._read_at = now
        return True

    def update(self, revoked: Iterable[tuple[int, datetime]], ended: Iterable[int] = ()) -> None:
        """Replace all known revocations: ids of users with the time of the last revocation, and ids of sessions."""
        self._times = {str(user_id): at.timestamp() for user_id, at in revoked}
        self._ended = frozenset(ended)

    def expire(self) -> None:
        """Read the revocations before the next request."""
        self._read_at = float("-inf")

    def check(self, token: AccessToken) -> None:
        """Raise Unauthorized for a token of an ended session, or from before the last revocation of its user."""
        revoked = self._times.get(token.subject)
        if (revoked is not None and token.claims["iat"] < revoked) or token.session_id in self._ended:
            raise Unauthorized

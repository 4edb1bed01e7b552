"""The user who sends a request."""

import time
from dataclasses import dataclass

from app.core.problems import Forbidden
from app.core.security.bearer import ADMIN

RECENT_LOG_IN_SECONDS = 600
"""Maximum age of a log-in at an identity provider that replaces the password of a request."""


@dataclass(frozen=True)
class CurrentUser:
    """The user who sends a request, with the scopes of the token."""

    id: int
    scopes: frozenset[str]
    session_id: int | None = None
    """Id of the session of a token that a log-in or refresh issued."""
    logged_in_at: float | None = None
    """Time of the log-in at an identity provider in seconds since 1970, if the token has the claim `auth_time`."""
    key_id: int | None = None
    """Id of the API key that was sent as the token."""

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the token holds `scope`."""
        if scope not in self.scopes:
            raise Forbidden

    def require_recent_log_in(self) -> None:
        """Raise Forbidden unless the user logged in at the identity provider within RECENT_LOG_IN_SECONDS."""
        if self.logged_in_at is None or time.time() - self.logged_in_at > RECENT_LOG_IN_SECONDS:
            minutes = RECENT_LOG_IN_SECONDS // 60
            raise Forbidden(f"Log in again: this needs a token with an `auth_time` of the last {minutes} minutes.")

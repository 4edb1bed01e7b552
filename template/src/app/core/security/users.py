"""The user who sends a request."""

from dataclasses import dataclass

from app.core.problems import Forbidden
from app.core.security.tokens import ADMIN


@dataclass(frozen=True)
class CurrentUser:
    """The user who sends a request, with the scopes of the token."""

    id: int
    scopes: frozenset[str]
    session_id: int | None = None
    """Id of the session of a token that a log-in or refresh issued."""

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the token holds `scope`."""
        if scope not in self.scopes:
            raise Forbidden

"""The state of the application, which all requests share."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Self

from app.core.config import Settings
from app.core.http.rate_limits import RateLimits
from app.core.security.revocations import Revocations
from app.core.security.tokens import TokenVerifier, token_verifier

STATE = "app.state"
"""Key of the application state in the WSGI environment."""

LATE = "app.late"
"""Key in the WSGI environment of a request that waited too long for a thread."""


@dataclass
class State:
    """Objects that all requests share."""

    settings: Settings
    rate_limits: RateLimits
    tokens: TokenVerifier
    revocations: Revocations = field(default_factory=Revocations)
    draining: bool = False
    """True after the process received a signal to stop."""
    checking: Lock = field(default_factory=Lock)
    """Held during a check of readiness."""
    answers: dict[str, bool] = field(default_factory=dict)
    """The result of the last check: whether each dependency answers."""
    checked: float = float("-inf")
    """Time of this result."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the state for these settings."""
        return cls(settings, RateLimits(settings), token_verifier(settings))

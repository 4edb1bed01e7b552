"""The state of the application: made once, the same for all requests."""

from dataclasses import dataclass, field
from threading import Event
from typing import Self

from app.core.config import Settings
from app.core.http.rate_limits import RateLimits
from app.core.security.tokens import TokenVerifier, token_verifier

STATE = "app.state"
"""Key in a WSGI environment, where the application leaves its state for its requests."""


@dataclass
class State:
    """All that requests share."""

    settings: Settings
    rate_limits: RateLimits
    tokens: TokenVerifier
    draining: Event = field(default_factory=Event)
    """Set once the process was asked to end."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the state that these settings ask for."""
        return cls(settings, RateLimits(settings), token_verifier(settings))

"""The state of the application: made once, the same for all requests."""

from dataclasses import dataclass
from typing import Self

from fastapi import FastAPI

from app.core.config import Settings
from app.core.database.engine import Database
from app.core.http.rate_limits import RateLimits
from app.core.security.tokens import TokenVerifier, token_verifier


@dataclass
class State:
    """All that requests share."""

    settings: Settings
    database: Database
    rate_limits: RateLimits
    tokens: TokenVerifier
    draining: bool = False
    """True once the process was asked to end."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the state that these settings ask for. No connection is made yet."""
        return cls(settings, Database.connect(settings), RateLimits(settings), token_verifier(settings))


def state_of(app: FastAPI) -> State:
    """Return the state that `create_app` gave to this application."""
    state: State = app.state.core
    return state

"""The state of the application, which all requests share."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

from fastapi import FastAPI

from app.core.config import Settings
from app.core.database.engine import Database
from app.core.http.limits.rates import RateLimits
from app.core.problems import ErrorBody, Problem
from app.core.security.bearer import TokenVerifier
from app.core.security.tokens import Revocations, token_verifier


@dataclass
class State:
    """Objects that all requests share."""

    settings: Settings
    database: Database
    rate_limits: RateLimits
    tokens: TokenVerifier
    error_body: type[ErrorBody] = Problem
    revocations: Revocations = field(default_factory=Revocations)
    draining: bool = False
    """True after the process received a signal to stop."""
    checking: asyncio.Task[dict[str, bool]] | None = None
    """The last check of readiness: whether each dependency answers."""
    checked: float = 0.0
    """Time of its result."""

    @classmethod
    def of(cls, settings: Settings, error_body: type[ErrorBody]) -> Self:
        """Return the state for these settings. Does not connect yet."""
        return cls(settings, Database.connect(settings), RateLimits(settings), token_verifier(settings), error_body)


def state_of(app: FastAPI) -> State:
    """Return the state of an application that `create_app` made."""
    state: State = app.state.core
    return state

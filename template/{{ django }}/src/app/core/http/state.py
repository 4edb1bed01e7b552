"""The state of the application, which all requests share, and the types of requests."""

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Self

from django.http import HttpRequest

from app.core.config import Settings
from app.core.http.limits.rates import RateLimits
from app.core.security.bearer import TokenVerifier
from app.core.security.tokens import Revocations, token_verifier
from app.core.security.users import CurrentUser

if TYPE_CHECKING:
    from app.core.accounts.models import User

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


class Request(HttpRequest):
    """Django's request with the attributes that core and django-ninja add."""

    state: State
    auth: CurrentUser
    """The user of the token, on a route of a `router`."""
    user: "User"
    """The model of this user. On a page with `login_required`, the user of the session."""


class PublicRequest(HttpRequest):
    """Django's request on a route of a `public` router with `auth=maybe_logged_in`."""

    state: State
    auth: CurrentUser | None
    """The user of the token, or None for a caller without a token."""

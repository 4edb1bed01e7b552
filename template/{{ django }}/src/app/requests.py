"""What a request knows, beside what Django tells of it."""

from typing import NamedTuple

from django.http import HttpRequest

from app.config import Settings
from app.rate_limits import RateLimits
from app.security import Principal, TokenVerifier, token_verifier

SERVICE = "app.service"
"""Where the application leaves its `Service` for its requests."""


class Service(NamedTuple):
    """What all requests of an application have in common."""

    settings: Settings
    rate_limits: RateLimits
    tokens: TokenVerifier

    @classmethod
    def of(cls, settings: Settings) -> "Service":
        """The service that the settings ask for."""
        return cls(settings, RateLimits(settings), token_verifier(settings))


class Request(HttpRequest):
    """A request as the views get it: nothing but names for what the middleware and `authenticated` have added."""

    service: Service
    auth: Principal
    """Whoever the token names, on a route of a `router`."""

    user_id: int
    """The key of that user, on a route with `auth=identified`."""

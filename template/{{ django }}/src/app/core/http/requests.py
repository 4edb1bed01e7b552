"""The type of requests."""

from django.http import HttpRequest

from app.core.http.state import State
from app.core.security.users import CurrentUser


class Request(HttpRequest):
    """Django's request with the attributes that core and django-ninja add."""

    state: State
    auth: CurrentUser
    """The user of the token, on a route of a `router`."""


class PublicRequest(HttpRequest):
    """Django's request on a route of a `public` router with `auth=maybe_logged_in`."""

    state: State
    auth: CurrentUser | None
    """The user of the token, or None for a caller without a token."""

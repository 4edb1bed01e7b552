"""The type of requests."""

from django.http import HttpRequest

from app.core.http.state import State
from app.core.security.users import CurrentUser


class Request(HttpRequest):
    """Django's request with the attributes that core and django-ninja add."""

    state: State
    auth: CurrentUser
    """The user of the token, on a route of a `router`."""

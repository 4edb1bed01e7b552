"""Limits for the size of request bodies."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.urls import Resolver404, resolve

from app.core.config import Settings
from app.core.http.headers import max_bytes

MARK = "max_body_size"
"""Attribute of a view with its own limit."""

LIMITS: dict[tuple[str, str], int] = {}
"""The routes of the API with their own limits, by method and path, such as `api/v1/users/<user_id>`."""


def max_body_size[F: Callable[..., Any]](size: int) -> Callable[[F], F]:
    """Return a decorator for a route of the API that accepts bodies of `size` bytes, instead of MAX_JSON_BYTES."""

    def mark(view: F) -> F:
        setattr(view, MARK, size)
        return view

    return mark


def note_limit(view: Callable[..., Any], methods: Iterable[str], route: str) -> None:
    """Keep the limit of a view, if it has one."""
    if (limit := getattr(view, MARK, None)) is not None:
        route = route.removeprefix("/").replace("{", "<").replace("}", ">")  # as Django writes it
        LIMITS.update(dict.fromkeys(((method, route) for method in methods), limit))


def max_body_bytes(settings: Settings, environ: Mapping[str, Any]) -> int:
    """Return the limit for the body of a request with this WSGI environment: the route's own, or the default."""
    path = environ["PATH_INFO"]
    default = max_bytes(settings, path, environ.get("CONTENT_TYPE", ""))
    if not LIMITS:
        return default
    try:
        route = resolve(path).route
    except Resolver404:
        return default
    return LIMITS.get((environ["REQUEST_METHOD"], route), default)

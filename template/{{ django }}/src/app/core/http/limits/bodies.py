"""Limits for the size of request bodies."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.urls import Resolver404, resolve

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


def own_limit(environ: Mapping[str, Any]) -> int | None:
    """Return the limit of the route of a request with this WSGI environment, or None."""
    try:
        route = resolve(environ["PATH_INFO"]).route
    except Resolver404:
        return None
    return LIMITS.get((environ["REQUEST_METHOD"], route))

"""Checks that run before a request is parsed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ninja.decorators import decorate_view

from app.core.http.requests import Request
from app.core.problems import NotFound


def first[F: Callable[..., Any]](*checks: Callable[[Request], None]) -> Callable[[F], F]:
    """Call `checks` before the request of this route is parsed. Each check may raise a problem."""

    def decorator(run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def checked(request: Request, **path: Any) -> Any:
            for check in checks:
                check(request)
            return run(request, **path)

        return checked

    return decorate_view(decorator)


def in_development[F: Callable[..., Any]](view: F) -> F:
    """Raise NotFound in production instead of calling `view`."""

    @wraps(view)
    def open_in_development(request: Request, **path: Any) -> Any:
        if request.state.settings.production:
            raise NotFound
        return view(request, **path)

    return open_in_development  # type: ignore[return-value]

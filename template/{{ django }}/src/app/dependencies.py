"""What a route can ask for: who calls, and what must hold before a request is read."""

from collections.abc import Callable
from functools import wraps
from types import MappingProxyType
from typing import Any

from ninja.decorators import decorate_view
from structlog.contextvars import bind_contextvars

from app.problems import NotFound, Unauthorized
from app.requests import Request
from app.security import ADMIN, Principal


class Authenticated:
    """Whoever the request's token names. Unauthorized without a valid one."""

    name = "token"
    model = MappingProxyType(
        {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": "/auth/token"}}},
    )

    def __call__(self, request: Request) -> Principal:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized
        principal = request.service.tokens.verify(token.strip())
        bind_contextvars(user=principal.subject)
        return principal


class Administrator(Authenticated):
    """Whoever the token names. Forbidden unless it is an administrator."""

    def __call__(self, request: Request) -> Principal:
        principal = super().__call__(request)
        principal.require(ADMIN)
        return principal


authenticated = Authenticated()
administrator = Administrator()


def first[F: Callable[..., Any]](*checks: Callable[[Request], None]) -> Callable[[F], F]:
    """Call `checks` before a request of this route is read; each may raise a problem."""

    def decorator(run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def checked(request: Request, **path: Any) -> Any:
            for check in checks:
                check(request)
            return run(request, **path)

        return checked

    return decorate_view(decorator)


def in_development[F: Callable[..., Any]](view: F) -> F:
    """Make `view` NotFound in production."""

    @wraps(view)
    def open_in_development(request: Request, **path: Any) -> Any:
        if request.service.settings.production:
            raise NotFound
        return view(request, **path)

    return open_in_development  # type: ignore[return-value]

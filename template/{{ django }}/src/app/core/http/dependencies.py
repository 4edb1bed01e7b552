"""Checks of requests beside django-ninja's."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja.decorators import decorate_view
from ninja.operation import Operation
from ninja.params.models import QueryModel
from ninja.signature.details import is_pydantic_model

from app.core.http.state import Request
from app.core.problems import FieldError, NotFound, Unprocessable


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
    """Raise NotFound in production instead of calling `view`, which answers only GET and HEAD."""
    safe = require_safe(view)

    @csrf_exempt  # otherwise a POST without a token would be 403
    @wraps(view)
    def open_in_development(request: Request, **path: Any) -> Any:
        if request.state.settings.production:
            raise NotFound
        return safe(request, **path)

    return open_in_development  # type: ignore[return-value]


def refuse_unknown_query(operation: Operation) -> None:
    """Make an operation raise Unprocessable for unknown query parameters if a schema of its query forbids them.

    django-ninja itself passes only known parameters to a schema.
    """
    for model in (model for model in operation.models if issubclass(model, QueryModel)):
        kinds: list[Any] = [field.annotation for field in model.model_fields.values()]
        if any(is_pydantic_model(kind) and kind.model_config.get("extra") == "forbid" for kind in kinds):
            known = frozenset(model.__ninja_flatten_map__)
            operation.view_func = _refusing(operation.view_func, known)


def _refusing(run: Callable[..., Any], known: frozenset[str]) -> Callable[..., Any]:
    @wraps(run)
    def strict(request: Request, **values: Any) -> Any:
        if unknown := request.GET.keys() - known:
            message = "Extra inputs are not permitted"  # as Pydantic says
            raise Unprocessable(*(FieldError(pointer=f"/query/{name}", message=message) for name in sorted(unknown)))
        return run(request, **values)

    return strict

"""Conversion of all exceptions to error responses."""

import sys
from contextlib import suppress
from http import HTTPStatus

import structlog
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.utils.module_loading import import_string
from ninja.errors import HttpError

from app.core.accounts.repository import UserRepository
from app.core.database.sqlstate import FOREIGN_KEY_VIOLATION, is_temporary
from app.core.http.pages import is_page
from app.core.observability.telemetry import report_failure
from app.core.problems import (
    BadRequest,
    ErrorBody,
    Forbidden,
    NotFound,
    ProblemError,
    ServerError,
    Unauthorized,
    Unavailable,
    document,
    problem_for,
)
from app.core.security.users import CurrentUser

log = structlog.get_logger()

OF_DJANGO: dict[type[Exception], type[ProblemError]] = {
    Http404: NotFound,
    PermissionDenied: Forbidden,
    SuspiciousOperation: BadRequest,
    MultiPartParserError: BadRequest,
    UnreadablePostError: BadRequest,
}
"""The problem for each exception of Django."""


def error_body() -> type[ErrorBody]:
    """Return the class of the body of error responses, which the setting ERROR_BODY names."""
    found: type[ErrorBody] = import_string(django_settings.ERROR_BODY)
    return found


class ProblemResponse(HttpResponse):
    """The response to an error, with a body of the kind that ERROR_BODY names."""

    def __init__(self, error: ProblemError, path: str) -> None:
        kind = error_body()
        content = document(error, path, kind)
        super().__init__(content, content_type=kind.media_type, status=error.status, headers=dict(error.headers))
        self._has_been_logged = True  # the request is logged; Django would log it again, with less information


def problem_of(error: Exception) -> ProblemError | None:
    """Return the problem for `error`, or None for an unexpected error."""
    match error:
        case ProblemError():
            return error
        case HttpError():
            return problem_for(error.status_code, error.message)
        case DatabaseError() | InterfaceError() if _temporary(error):
            log.warning("database unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
            return Unavailable()
    return next((kind() for theirs, kind in OF_DJANGO.items() if isinstance(error, theirs)), None)


def deleted_user(request: HttpRequest, error: Exception) -> Unauthorized | None:
    """Return the problem if the caller was deleted during the request: a reference to the user then fails."""
    user = getattr(request, "auth", None)
    if not isinstance(user, CurrentUser) or getattr(error.__cause__, "sqlstate", None) != FOREIGN_KEY_VIOLATION:
        return None
    return None if UserRepository().get(user.id) else Unauthorized()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handle a request that Django refuses before it calls a view, or a SuspiciousOperation in a page."""
    return _answer(request, BadRequest(), "400.html")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Handle a form without a valid CSRF token."""
    return _answer(request, Forbidden("The form has expired, or comes from another site."), "403_csrf.html")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handle PermissionDenied in a page."""
    return _answer(request, Forbidden("You may not see this page."), "403.html")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handle a path without a view, or Http404 in a page."""
    return _answer(request, NotFound(), "404.html")


def server_error(request: HttpRequest) -> HttpResponse:
    """Handle an exception outside of a view, for example in a middleware. Django calls this in its `except` block."""
    error = sys.exception()
    if isinstance(error, Exception) and (problem := problem_of(error)):
        return ProblemResponse(problem, request.path)
    if error:
        report_failure(error)
    return _answer(request, ServerError(), "500.html")


def _answer(request: HttpRequest, error: ProblemError, name: str) -> HttpResponse:
    """For a page, render the template `name` if the project has one. Otherwise return the error as in the API."""
    if is_page(request):
        with suppress(TemplateDoesNotExist):
            # After an unexpected error, render without the request: loading `request.user` may be the cause.
            known = request if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else None
            page = HttpResponse(get_template(name).render({"problem": error}, known), status=error.status)
            page._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 -- as in ProblemResponse
            return page
    return ProblemResponse(error, request.path)


def _temporary(error: Exception) -> bool:
    """Return whether the same request may succeed later: the database is down, overloaded or too slow."""
    if state := getattr(error.__cause__, "sqlstate", None):
        return is_temporary(state)
    return isinstance(error, OperationalError | InterfaceError)  # the server did not answer

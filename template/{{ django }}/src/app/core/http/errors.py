"""Every exception becomes a problem document here, and nowhere else."""

import sys
from contextlib import suppress
from http import HTTPStatus

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from ninja.errors import HttpError
from pydantic_core import to_json

from app.core.database.sqlstate import is_temporary
from app.core.http.pages import is_page
from app.core.observability.telemetry import report_failure
from app.core.problems import (
    MEDIA_TYPE,
    BadRequest,
    Forbidden,
    NotFound,
    ProblemError,
    ServerError,
    Unavailable,
    document,
    problem_for,
)

log = structlog.get_logger()

OF_DJANGO: dict[type[Exception], type[ProblemError]] = {
    Http404: NotFound,
    PermissionDenied: Forbidden,
    SuspiciousOperation: BadRequest,
    MultiPartParserError: BadRequest,
    UnreadablePostError: BadRequest,
}
"""What Django itself raises, as one of ours."""


class ProblemResponse(HttpResponse):
    """A problem document as a response."""

    def __init__(self, error: ProblemError, path: str) -> None:
        content = to_json(document(error, path))
        super().__init__(content, content_type=MEDIA_TYPE, status=error.status, headers=dict(error.headers))
        self._has_been_logged = True  # by the line of the request; Django would say it once more, less completely


def problem_of(error: Exception) -> ProblemError | None:
    """What a caller is told of `error`; None when that is nobody's fault but the service's."""
    match error:
        case ProblemError():
            return error
        case HttpError():
            return problem_for(error.status_code, error.message)
        case DatabaseError() | InterfaceError() if _temporary(error):
            log.warning("database unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
            return Unavailable()
    return next((kind() for theirs, kind in OF_DJANGO.items() if isinstance(error, theirs)), None)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django refuses before it calls a view, or a page with SuspiciousOperation."""
    return _answer(request, BadRequest(), "400.html")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid CSRF token."""
    return _answer(request, Forbidden("The form is too old, or another site's."), "403_csrf.html")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A page that the user may not see."""
    return _answer(request, Forbidden("You may not see this page."), "403.html")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A path without a view, or a page that raises Http404."""
    return _answer(request, NotFound(), "404.html")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view raised, such as a middleware. Django calls this while it handles the exception."""
    error = sys.exception()
    if isinstance(error, Exception) and (problem := problem_of(error)):
        return ProblemResponse(problem, request.path)
    if error:
        report_failure(error)
    return _answer(request, ServerError(), "500.html")


def _answer(request: HttpRequest, error: ProblemError, name: str) -> HttpResponse:
    """For a page, render the service's own template of this name, as Django does; otherwise the problem document."""
    if is_page(request):
        with suppress(TemplateDoesNotExist):
            # After a defect without the request: its user may be what cannot be read.
            known = request if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else None
            page = HttpResponse(get_template(name).render({"problem": error}, known), status=error.status)
            page._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 -- as of ProblemResponse
            return page
    return ProblemResponse(error, request.path)


def _temporary(error: Exception) -> bool:
    """Whether the same request may succeed later: the database is gone, overloaded, or took too long."""
    if state := getattr(error.__cause__, "sqlstate", None):
        return is_temporary(state)
    return isinstance(error, OperationalError | InterfaceError)  # no answer at all

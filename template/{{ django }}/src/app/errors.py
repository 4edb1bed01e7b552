"""Every exception becomes a problem document here, and nowhere else."""

import sys
from http import HTTPStatus

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from pydantic_core import to_json

from app import telemetry
from app.problems import (
    MEDIA_TYPE,
    BadRequest,
    Forbidden,
    NotFound,
    ProblemError,
    ServerError,
    Unavailable,
    document,
)

log = structlog.get_logger()

TEMPORARY = ("08", "25P03", "25P04", "40", "53", "57")
"""How SQLSTATE begins (PostgreSQL, appendix A) with lost connections, transactions that were idle or took too long,
rollbacks, resources, interventions of the operator."""

OF_DJANGO: dict[type[Exception], type[ProblemError]] = {
    Http404: NotFound,
    PermissionDenied: Forbidden,
    SuspiciousOperation: BadRequest,
    MultiPartParserError: BadRequest,
    UnreadablePostError: BadRequest,
}
"""What Django itself raises, as one of ours."""


class MethodNotAllowed(ProblemError):
    status = HTTPStatus.METHOD_NOT_ALLOWED
    detail = f"{HTTPStatus.METHOD_NOT_ALLOWED.description}."


class ProblemResponse(HttpResponse):
    """A problem document as a response."""

    def __init__(self, error: ProblemError, path: str) -> None:
        content = to_json(document(error, path))
        super().__init__(content, content_type=MEDIA_TYPE, status=int(error.status), headers=dict(error.headers))
        self._has_been_logged = True  # by the line of the request; Django would say it once more, less completely


def problem_of(error: Exception) -> ProblemError | None:
    """What a caller is told of `error`; None when that is nobody's fault but the service's."""
    match error:
        case ProblemError():
            return error
        case DatabaseError() | InterfaceError() | ConnectionError() | TimeoutError() if _temporary(error):
            log.warning("database unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
            return Unavailable()
    return next((kind() for theirs, kind in OF_DJANGO.items() if isinstance(error, theirs)), None)


def bad_request(request: HttpRequest, exception: Exception) -> ProblemResponse:
    """What Django refuses before it calls a view."""
    return ProblemResponse(BadRequest(), request.path)


def csrf_failed(request: HttpRequest, reason: str = "") -> ProblemResponse:
    """A form of the administration that it did not make itself."""
    return ProblemResponse(Forbidden("The form is too old, or another site's."), request.path)


def permission_denied(request: HttpRequest, exception: Exception) -> ProblemResponse:
    """What the administration refuses."""
    return ProblemResponse(Forbidden(), request.path)


def page_not_found(request: HttpRequest, exception: Exception) -> ProblemResponse:
    """A path without a view."""
    return ProblemResponse(NotFound(), request.path)


def server_error(request: HttpRequest) -> ProblemResponse:
    """The last resort. Django calls it while it handles the exception, which the log tells in full."""
    log.exception("request failed")
    if error := sys.exception():
        telemetry.report(error)
    return ProblemResponse(ServerError(), request.path)


def _temporary(error: Exception) -> bool:
    """Whether the same request may succeed later: the database is gone, overloaded, or took too long."""
    if state := getattr(error.__cause__, "sqlstate", None):
        return bool(state.startswith(TEMPORARY))
    return isinstance(error, OperationalError | InterfaceError | ConnectionError | TimeoutError)  # no answer at all

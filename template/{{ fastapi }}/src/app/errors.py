"""Every exception becomes a problem document here, and nowhere else."""

from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.problems import (
    MEDIA_TYPE,
    ProblemError,
    Unavailable,
    Unprocessable,
    UnsupportedMediaType,
    document,
)

log = structlog.get_logger()


class ProblemResponse(JSONResponse):
    """A problem document as a response."""

    media_type = MEDIA_TYPE

    def __init__(self, error: ProblemError, path: str) -> None:
        super().__init__(document(error, path), int(error.status), error.headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""

    async def problem(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, ProblemError)
        return ProblemResponse(error, request.url.path)

    async def http(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = _allowed(request)
        return ProblemResponse(_from_http(error.status_code, headers), request.url.path)

    async def invalid(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)
        if error.body is not None and not _readable(request):
            return ProblemResponse(UnsupportedMediaType(), request.url.path)
        return ProblemResponse(Unprocessable.from_pydantic(error.errors()), request.url.path)

    async def database(request: Request, error: Exception) -> ProblemResponse:
        if isinstance(error, DBAPIError) and not _connection_lost(error):
            raise error
        log.warning("database unavailable", error=type(error).__name__, reason=str(error).splitlines()[0])
        return ProblemResponse(Unavailable(), request.url.path)

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    for kind in (DBAPIError, PoolTimeoutError, OSError):
        app.add_exception_handler(kind, database)


def _from_http(status: int, headers: Mapping[str, str]) -> ProblemError:
    """What Starlette itself refuses (404, 405, a malformed form), as one of ours."""
    kinds = {kind.status: kind for kind in ProblemError.__subclasses__()}
    if kind := kinds.get(HTTPStatus(status)):
        return kind(headers=headers)
    error = ProblemError(f"{HTTPStatus(status).description}.", headers=headers)
    error.status = HTTPStatus(status)
    return error


def _allowed(request: Request) -> str:
    """The methods of all routes with this path; Starlette names those of the first."""
    found = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in found for method in getattr(route, "methods", ())}))


def _readable(request: Request) -> bool:
    """Whether the route reads the kind of body that was sent."""
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    sent = message.get_content_type()
    body = getattr(request.scope.get("route"), "body_field", None)
    if body is not None and isinstance(body.field_info, Form):
        return sent in {"application/x-www-form-urlencoded", "multipart/form-data"}
    return sent == "application/json" or (sent.startswith("application/") and sent.endswith("+json"))


def _connection_lost(error: DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))

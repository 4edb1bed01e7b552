"""Every exception becomes a problem document here, and nowhere else."""

from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from app.problems import (
    MEDIA_TYPE,
    ProblemError,
    Unavailable,
    Unprocessable,
    UnsupportedMediaType,
    document,
)

log = structlog.get_logger()

TEMPORARY = ("08", "25P03", "25P04", "40", "53", "57")
"""How SQLSTATE begins (PostgreSQL, appendix A) with lost connections, transactions that were idle or took too long,
rollbacks, resources, interventions of the operator."""


class ProblemResponse(JSONResponse):
    """A problem document as a response."""

    media_type = MEDIA_TYPE

    def __init__(self, error: ProblemError, path: str) -> None:
        super().__init__(document(error, path), int(error.status), error.headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""

    @app.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> ProblemResponse:
        return ProblemResponse(error, request.url.path)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> ProblemResponse:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = _allowed(request)
        return ProblemResponse(_from_http(error.status_code, headers), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> ProblemResponse:
        if error.body is not None and not _readable(request):
            return ProblemResponse(UnsupportedMediaType(), request.url.path)
        return ProblemResponse(Unprocessable.from_pydantic(error.errors()), request.url.path)

    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolTimeoutError)
    @app.exception_handler(ConnectionError)
    @app.exception_handler(TimeoutError)
    async def unavailable(request: Request, error: Exception) -> ProblemResponse:
        if isinstance(error, DBAPIError) and not _temporary(error):
            raise error
        log.warning("database unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
        return ProblemResponse(Unavailable(), request.url.path)


def _from_http(status: int, headers: Mapping[str, str]) -> ProblemError:
    """What Starlette itself refuses (404, 405, a malformed form), as one of ours."""
    kinds = {kind.status: kind for kind in ProblemError.__subclasses__()}
    if kind := kinds.get(HTTPStatus(status)):
        return kind(headers=headers)
    error = ProblemError(f"{HTTPStatus(status).description}.", headers=headers)
    error.status = HTTPStatus(status)
    return error


def _allowed(request: Request) -> str:
    """The methods of every route with this path; Starlette names those of the first."""
    path = getattr(request.scope.get("route"), "path", "")
    return ", ".join(sorted(method.upper() for method in request.app.openapi()["paths"].get(path, {"get": None})))


def _readable(request: Request) -> bool:
    """Whether the route reads the kind of body that was sent."""
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    sent = message.get_content_type()
    body = getattr(request.scope.get("route"), "body_field", None)
    if body is not None and isinstance(body.field_info, Form):
        return sent in {"application/x-www-form-urlencoded", "multipart/form-data"}
    return sent == "application/json" or (sent.startswith("application/") and sent.endswith("+json"))


def _temporary(error: DBAPIError) -> bool:
    """Whether the same request may succeed later: the database is gone, overloaded, or took too long."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or isinstance(error, InterfaceError) or state.startswith(TEMPORARY)

"""Conversion of all exceptions to error responses."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.params import Form
from fastapi.utils import is_body_allowed_for_status_code
from sqlalchemy.exc import DBAPIError, InterfaceError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.status import WS_1008_POLICY_VIOLATION, WS_1011_INTERNAL_ERROR
from starlette.websockets import WebSocketState

from app.core.accounts.repository import UserRepository
from app.core.database.sessions import DatabaseUnavailableError, get_database
from app.core.database.sqlstate import FOREIGN_KEY_VIOLATION, is_temporary
from app.core.http.dependencies import USER_ID
from app.core.http.headers import is_json
from app.core.http.middleware import ProblemResponse, route_path
from app.core.http.routing import FORMS, media_type
from app.core.idempotency.responses import RepeatedError
from app.core.problems import (
    ErrorBody,
    MethodNotAllowed,
    ProblemError,
    Unauthorized,
    Unavailable,
    Unprocessable,
    UnsupportedMediaType,
    problem_for,
)

log = structlog.get_logger()

STATUSES = range(100, 600)
"""Valid status codes (RFC 9110, section 15)."""

MAX_REASON_BYTES = 123
"""Maximum length of a close reason: 125 bytes of a control frame, minus two for the code (RFC 6455, section 5.5)."""


def install(app: FastAPI, kind: type[ErrorBody]) -> None:
    """Make `app` answer every error with a body of this kind."""

    async def answer(connection: Request | WebSocket, error: ProblemError) -> Response | None:
        """Return the response to the error, or close an accepted WebSocket with the detail as reason."""
        if isinstance(connection, WebSocket) and connection.application_state is WebSocketState.CONNECTED:
            refused = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            code = WS_1008_POLICY_VIOLATION if refused else WS_1011_INTERNAL_ERROR
            await connection.close(code, error.detail.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
            return None
        return ProblemResponse(error, connection.url.path, kind)

    @app.exception_handler(ProblemError)
    async def problem(request: Request | WebSocket, error: ProblemError) -> Response | None:
        undeclared = _undeclared(request) if isinstance(error, UnsupportedMediaType) else None
        return await answer(request, undeclared or error)

    @app.exception_handler(HTTPException)
    async def refused(request: Request | WebSocket, error: HTTPException) -> Response | None:
        headers = dict(error.headers or {})
        if error.status_code not in STATUSES:
            raise ValueError(f"HTTPException({error.status_code}) does not have a valid HTTP status") from error
        if not is_body_allowed_for_status_code(error.status_code):
            return Response(status_code=error.status_code, headers=headers)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and isinstance(request, Request):
            headers["Allow"] = _allowed(request, route_path(request.scope) or "")
        return await answer(request, problem_for(error.status_code, error.detail, headers))

    @app.exception_handler(WebSocketRequestValidationError)
    async def unusable(socket: WebSocket, error: WebSocketRequestValidationError) -> Response | None:
        return await answer(socket, Unprocessable.from_pydantic(error.errors()))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response | None:
        if error.body is not None and not _readable(request):
            return await answer(request, UnsupportedMediaType())
        undeclared = _undeclared(request) if any(found["loc"][0] == "path" for found in error.errors()) else None
        return await answer(request, undeclared or Unprocessable.from_pydantic(error.errors()))

    @app.exception_handler(RepeatedError)
    async def repeated(_request: Request, error: RepeatedError) -> Response:
        return error.response

    @app.exception_handler(DBAPIError)
    @app.exception_handler(DatabaseUnavailableError)
    async def unavailable(request: Request | WebSocket, error: Exception) -> Response | None:
        if isinstance(error, DBAPIError) and not _temporary(error):
            if await _is_deleted_user(request, error):
                return await answer(request, Unauthorized())
            raise error
        log.warning("database unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
        return await answer(request, Unavailable())


def _undeclared(request: Request | WebSocket) -> MethodNotAllowed | None:
    """Return the error if a route has exactly this path, but not this method.

    Starlette goes on to the next route: `DELETE /users/me` reaches `/users/{user_id}`.
    """
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if not isinstance(request, Request) or path == route_path(request.scope) or "{" in path:
        return None
    declared = request.app.openapi()["paths"].get(path)
    if declared is None or request.method.lower() in declared:
        return None
    return MethodNotAllowed(headers={"Allow": _allowed(request, path)})


def _allowed(request: Request, path: str) -> str:
    """Return the methods of all routes with this path. Starlette's Allow header has only those of the first route."""
    operations = request.app.openapi()["paths"].get(path, {"get": None})
    methods = {method.upper() for method in operations}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _readable(request: Request) -> bool:
    """Return whether the route accepts the content type of the request."""
    sent = media_type(request)
    body = getattr(request.scope.get("route"), "body_field", None)
    if body is not None and isinstance(body.field_info, Form):
        return sent in FORMS
    return is_json(request.method, sent)


async def _is_deleted_user(request: Request | WebSocket, error: DBAPIError) -> bool:
    """Return whether the caller was deleted during the request: a reference to the user then fails."""
    user_id = request.scope.get(USER_ID)
    if user_id is None or getattr(error.orig, "sqlstate", None) != FOREIGN_KEY_VIOLATION:
        return False
    async with get_database(request).read_sessions() as session:
        return await UserRepository(session).get(user_id) is None


def _temporary(error: DBAPIError) -> bool:
    """Return whether the same request may succeed later: the database is down, overloaded or too slow."""
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or isinstance(error, InterfaceError) or is_temporary(state)

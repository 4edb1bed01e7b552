"""Middleware of all requests and WebSockets: request id, log, security headers, body limit, unexpected errors."""

import time
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitResponder
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.status import WS_1011_INTERNAL_ERROR
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.core.config import Settings
from app.core.http.headers import (
    CORS_EXPOSED_HEADERS,
    CORS_HEADERS,
    CORS_MAX_AGE_SECONDS,
    CORS_METHODS,
    CORS_REFUSAL,
    DOCS,
    PROBES,
    RequestCheck,
    SecurityHeaders,
    identify,
    max_bytes,
)
from app.core.http.limits.addresses import Proxies, current_client, forwarded_scheme
from app.core.http.routing import AnswerHead
from app.core.http.server.protocol import GONE, STREAM
from app.core.observability.logs import RequestLog
from app.core.observability.telemetry import report_failure
from app.core.problems import (
    ContentTooLarge,
    ErrorBody,
    Forbidden,
    ProblemError,
    ServerError,
    document,
    problem_for,
)
from app.core.security.passwords import disconnected


class ProblemResponse(Response):
    """The response to an error, with a body of this kind."""

    def __init__(self, error: ProblemError, path: str, kind: type[ErrorBody]) -> None:
        super().__init__(document(error, path, kind), int(error.status), error.headers, kind.media_type)


def route_path(scope: Scope) -> str | None:
    """Return the path template of the matched route, such as `/api/v1/users/{user_id}`, or None."""
    # Only FastAPI's context of an included router has the prefixes of the path: in `starlette_route` for a WebSocket.
    included = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(included, "starlette_route", None) or included or scope.get("route")
    path: str | None = getattr(route, "path", None)
    return path


SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403
EVENTS = b"text/event-stream"


class BodyLimit(RequestBodyLimitResponder):
    """Starlette's body limit, with a ContentTooLarge as error. `max_body_size` of a route replaces the limit."""

    def __init__(self, app: ASGIApp, max_body_size: int) -> None:
        super().__init__(self._refusing, max_body_size)
        self._limited = app

    async def _refusing(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._limited(scope, receive, send)
        except Exception as error:
            # Starlette would answer in plain text. And a middleware may have wrapped the error in an ExceptionGroup.
            if max(self.total_size, self.content_length or 0) > self.max_body_size:
                raise ContentTooLarge from error
            raise

    async def send_with_limit(self, message: Message) -> None:
        # Starlette would replace the response when the route has not read the body.
        await self.send(message)


class RequestContext:
    """The outermost middleware. Pure ASGI: creates no task, queue or copy of the context for a request."""

    def __init__(self, app: ASGIApp, settings: Settings, error_body: type[ErrorBody]) -> None:
        self.app = app
        self.head = AnswerHead(app)
        self.settings = settings
        self.error_body = error_body
        self.proxies = Proxies(settings.trusted_proxies) if settings.trusted_proxies else None
        self.log = RequestLog(PROBES)
        self.check = RequestCheck(settings)
        self.headers = SecurityHeaders(settings, lambda name, value: (name.lower().encode(), value.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        disconnected.set(gone.wait if (gone := scope.get(GONE)) else None)
        note_client(scope, headers, self.proxies)
        path: str = scope["path"]
        add_root_path(scope, self.settings.root_path)
        identity = identify(headers.get("x-request-id"), headers.get("traceparent"))
        security = self.headers.docs if path.startswith(DOCS) else self.headers.common
        own_headers = [*security, (b"x-request-id", identity.encode())]
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if (
                "status" in message
            ):  # `http.response.start`, or `websocket.http.response.start` if a WebSocket is refused
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                if any(value.startswith(EVENTS) for _, value in message["headers"]):
                    scope[STREAM] = True
                message["headers"] = [
                    *message["headers"],
                    *(header for header in own_headers if header[0] not in present),
                ]
            elif message["type"] == "websocket.accept":
                status = SWITCHING_PROTOCOLS
            elif message["type"] == "websocket.close":
                status = status or FORBIDDEN  # the server's response to a WebSocket that was not accepted
            await send(message)

        try:
            if refusal := self.check.refusal(path, headers.get("host", ""), headers.get("content-length", "0")):
                await self._cors(self._response(refusal, path))(scope, receive, send_with_headers)
            else:
                app = self.head if scope.get("method") == "HEAD" else self.app
                if "content-length" in headers or "transfer-encoding" in headers:
                    app = BodyLimit(app, max_bytes(self.settings, path, headers.get("content-type", "")))
                await app(scope, receive, send_with_headers)
        except WebSocketDisconnect:
            pass  # the client has closed the connection
        except Exception as raised:
            error = _problem_of(raised)
            if not isinstance(error, ProblemError):
                report_failure(error)
            if status == SWITCHING_PROTOCOLS:
                await send({"type": "websocket.close", "code": WS_1011_INTERNAL_ERROR})
            elif status:
                raise  # the response has started: only a broken connection can signal the error
            else:
                await self._cors(await self._answer(scope, error))(scope, receive, send_with_headers)
        finally:
            self.log.end(scope.get("method", "WEBSOCKET"), path, route_path(scope), status, started)

    async def _answer(self, scope: Scope, error: Exception) -> Response:
        """Return the response for `error`. For an unexpected error, the project's handler for Exception comes first."""
        if isinstance(error, ProblemError):
            return self._response(error, scope["path"])
        handler = scope["app"].exception_handlers.get(Exception)
        if handler is None or scope["type"] != "http":
            return self._response(ServerError(), scope["path"])
        response: Response | Awaitable[Response] = handler(Request(scope), error)
        return await response if isinstance(response, Awaitable) else response

    def _response(self, error: ProblemError, path: str) -> Response:
        return ProblemResponse(error, path, self.error_body)

    def _cors(self, app: ASGIApp) -> ASGIApp:
        return cors(app, self.settings, self.error_body)


def add_root_path(scope: Scope, root: str) -> None:
    """Add the prefix that a proxy has removed, as the ASGI specification says: links then start with it."""
    if root:
        scope.update(root_path=root, path=root + scope["path"], raw_path=root.encode() + scope["raw_path"])


def note_client(scope: Scope, headers: Headers, proxies: Proxies | None) -> None:
    """Set the address of the client, also for security events. Behind a trusted proxy, it is the forwarded address."""
    if client := scope.get("client"):
        if proxies and proxies.trusts(client[0]):
            apply_forwarded(scope, headers, proxies)
        current_client.set(scope["client"][0])


def apply_forwarded(scope: Scope, headers: Headers, proxies: Proxies) -> None:
    """Replace the address and the scheme of a trusted proxy with those of the client."""
    if forwarded := ",".join(headers.getlist("x-forwarded-for")):
        scope["client"] = (proxies.client(scope["client"][0], forwarded), 0)
    if scheme := forwarded_scheme(",".join(headers.getlist("x-forwarded-proto"))):
        scope["scheme"] = scheme.replace("http", "ws") if scope["type"] == "websocket" else scheme


def _problem_of(error: Exception) -> Exception:
    """Convert an HTTPException of the project's middleware to a problem. Return other errors unchanged."""
    if isinstance(error, HTTPException) and error.status_code >= HTTPStatus.BAD_REQUEST:
        return problem_for(error.status_code, error.detail, error.headers)
    return error


class ProblemCORSMiddleware(CORSMiddleware):
    """Starlette's CORS, but the response to a refused preflight request is like that of other errors."""

    def __init__(self, app: ASGIApp, error_body: type[ErrorBody], **options: Any) -> None:
        super().__init__(app, **options)
        self.error_body = error_body

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refused = ProblemResponse(Forbidden(CORS_REFUSAL), "*", self.error_body)
        refused.headers["Vary"] = response.headers["Vary"]
        return refused


def cors(app: ASGIApp, settings: Settings, error_body: type[ErrorBody]) -> ASGIApp:
    """Add CORS for ALLOWED_ORIGINS to `app`. Without credentials: browser applications send a token, not cookies."""
    if not settings.allowed_origins:
        return app
    return ProblemCORSMiddleware(
        app,
        error_body,
        allow_origins=settings.allowed_origins,
        allow_methods=CORS_METHODS,
        allow_headers=CORS_HEADERS,
        expose_headers=CORS_EXPOSED_HEADERS,
        max_age=CORS_MAX_AGE_SECONDS,
    )

"""What surrounds every request: its id, its line in the log, the security headers, the limits, the last resort."""

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from app import telemetry
from app.config import Settings
from app.errors import ProblemResponse
from app.logging import request_id
from app.problems import BadRequest, ContentTooLarge, Forbidden, ProblemError, ServerError

PROBES = "/health/"
DOCS = ("/docs", "/openapi.json")

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The documentation page loads Swagger UI from its network and starts it with a line of its own. Development only.
DOCS_POLICY = (
    "default-src 'none'; script-src https://cdn.jsdelivr.net 'unsafe-inline'; style-src https://cdn.jsdelivr.net;"
    " img-src data: https://fastapi.tiangolo.com; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class RequestContext:
    """The outermost middleware. Pure ASGI: no task, no queue and no copy of the context a request."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.log = structlog.get_logger().bind()  # once, not at each request
        self.hosts = settings.hosts
        self.max_body = settings.max_body_bytes
        self.headers = [(k.lower().encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
        if settings.production:
            self.headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"]
        identity = request_id(headers.get("x-request-id"))
        own_headers = [*self.headers, (b"x-request-id", identity.encode())]
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in own_headers if header[0] not in present),
                ]
                if path == DOCS[0] and status == 200:
                    MutableHeaders(scope=message)["Content-Security-Policy"] = DOCS_POLICY
            await send(message)

        clear_contextvars()
        bind_contextvars(request_id=identity)
        if trace := telemetry.trace_id(headers.get("traceparent")):
            bind_contextvars(trace_id=trace)
        try:
            if refusal := self._refusal(headers, path):
                await self._problem(refusal, path)(scope, receive, send_with_headers)
            else:
                await self.app(scope, self._limited(headers, receive), send_with_headers)
        except Exception as error:
            if isinstance(error, ProblemError):
                answer = error
            else:
                self.log.exception("request failed")
                telemetry.report(error)
                answer = ServerError()
            if status:
                raise  # The response is under way: only a broken connection can still say that it is not whole.
            await self._problem(answer, path)(scope, receive, send_with_headers)
        finally:
            write = self.log.debug if path.startswith(PROBES) else self.log.info
            write(
                "request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 2),
            )

    def _problem(self, error: ProblemError, path: str) -> ASGIApp:
        return cors(ProblemResponse(error, path), self.settings)

    def _refusal(self, headers: Headers, path: str) -> ProblemError | None:
        # A probe calls the process by its address, not by its name.
        if not path.startswith(PROBES) and "*" not in self.hosts and _name(headers.get("host", "")) not in self.hosts:
            return BadRequest("The service does not answer to this host name; ALLOWED_HOSTS lists those that it does.")
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return BadRequest("Content-Length must be a number of bytes.")
        return ContentTooLarge() if int(length) > self.max_body else None

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        # The server holds a body to its Content-Length; only a chunked one can be longer than it says.
        if "transfer-encoding" not in headers:
            return receive
        left = self.max_body

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(ContentTooLarge.status)  # the only kind that FastAPI lets through
            return message

        return limited


class ProblemCORSMiddleware(CORSMiddleware):
    """Starlette's CORS, but a preflight that is refused is a problem document like every other error."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refused = ProblemResponse(Forbidden("This origin, method or header is not allowed."), "*")
        refused.headers["Vary"] = response.headers["Vary"]
        return refused


def cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    """`app` for browser applications of ALLOWED_ORIGINS. No cookies: they send a token themselves."""
    if not settings.allowed_origins:
        return app
    return ProblemCORSMiddleware(
        app,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
        expose_headers=["Location", "Retry-After", "X-Request-ID"],
    )


def _name(host: str) -> str:
    """The host name without its port, in small letters: a name has no case (RFC 9110, section 4.2.3)."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

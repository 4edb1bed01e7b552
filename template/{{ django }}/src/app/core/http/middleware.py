"""Middleware of all requests: request id, log, security headers, limits, proxies, CORS."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import MiddlewareNotUsed, PermissionDenied, SuspiciousOperation
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from app.core.config import Settings
from app.core.http.application import StartResponse
from app.core.http.errors import ProblemResponse, deleted_user, problem_of
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
from app.core.http.limits.bodies import LIMITS, own_limit
from app.core.http.pages import is_page, page_headers
from app.core.http.state import LATE, STATE, Request, State
from app.core.observability.logs import RequestLog
from app.core.observability.telemetry import report_failure
from app.core.problems import Forbidden, MethodNotAllowed, Unavailable

type View = Callable[[HttpRequest], HttpResponseBase]

WITHOUT_CONTENT = {204, 304}
"""Statuses of responses without content and without Content-Length (RFC 9110, section 8.6)."""


class Application(WSGIHandler):
    """Django's WSGI handler. Adds the application state and the security headers.

    Also reads a chunked body, which Django cannot, up to one byte more than the limit of the route.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = State.of(django_settings.CORE_SETTINGS)
        self.headers = SecurityHeaders(django_settings.CORE_SETTINGS, lambda name, value: (name.lower(), (name, value)))
        self.page_headers = page_headers()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> HttpResponseBase:
        environ[STATE] = self.state
        environ["SCRIPT_NAME"] = self.state.settings.root_path
        path = environ["PATH_INFO"]
        security_headers = self.headers.docs if path.startswith(DOCS) else self.headers.common
        if "HTTP_TRANSFER_ENCODING" in environ:
            limit = max_body_bytes(self.state.settings, environ)
            body = environ["wsgi.input"].read(limit + 1)
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}

        def start_with_headers(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            # Add the headers to the plain list, which is many times faster than Django's headers.
            present = {name.lower(): value for name, value in headers}
            if present.get("content-type", "").startswith("text/html") and not path.startswith(DOCS):
                if django_settings.DEBUG and status >= "4":
                    present["content-security-policy"] = ""  # omit: Django's debug pages have inline styles and scripts
                headers = headers + [header for header in self.page_headers if header[0].lower() not in present]
                present |= {name.lower(): value for name, value in self.page_headers}
            added = [header for name, header in security_headers if name not in present]
            return start_response(status, headers + added, *error)

        return super().__call__(environ, start_with_headers)


class RequestContext:
    """The outermost middleware."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response
        settings: Settings = django_settings.CORE_SETTINGS
        self.log = RequestLog(PROBES)
        self.check = RequestCheck(settings)
        self.settings = settings
        self.proxies = Proxies(settings.trusted_proxies) if settings.trusted_proxies else None

    def __call__(self, request: Request) -> HttpResponseBase:
        meta = request.META
        path = request.path_info
        started = time.perf_counter()
        length = meta.get("CONTENT_LENGTH") or "0"
        limit = 0 if length == "0" else max_body_bytes(self.settings, meta)
        identity = identify(meta.get("HTTP_X_REQUEST_ID"), meta.get("HTTP_TRACEPARENT"))
        # Django's test client calls the middleware without `Application`.
        request.state = meta.get(STATE) or State.of(self.settings)
        # Until a page reads the session, or a route of the API the token.
        request.user = AnonymousUser()  # type: ignore[assignment]
        if self.proxies and self.proxies.trusts(peer := meta.get("REMOTE_ADDR", "")):
            if forwarded := meta.get("HTTP_X_FORWARDED_FOR"):
                meta["REMOTE_ADDR"] = self.proxies.client(peer, forwarded)
            if scheme := forwarded_scheme(meta.get("HTTP_X_FORWARDED_PROTO", "")):
                meta["wsgi.url_scheme"] = scheme
        current_client.set(meta.get("REMOTE_ADDR"))
        host = meta.get("HTTP_HOST", meta.get("SERVER_NAME", ""))  # like Django; its test client sends no Host
        late = Unavailable() if LATE in meta else None
        if refusal := late or self.check.refusal(path, host, length, limit):
            response: HttpResponseBase = self._refuse(request, ProblemResponse(refusal, path))
        else:
            response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = ", ".join(sorted(response.headers["Allow"].split(", ")))
            response = ProblemResponse(MethodNotAllowed(headers={"Allow": allowed}), path)

        headers = response.headers
        headers["X-Request-ID"] = identity

        def end() -> None:
            self.log.end(request.method, path, route_of(request), int(response.status_code), started)

        is_head = request.method == "HEAD"
        if isinstance(response, StreamingHttpResponse):
            content = cast("Iterator[bytes]", response.streaming_content)
            response.streaming_content = then(() if is_head else content, end)
        else:
            if response.status_code not in WITHOUT_CONTENT:
                headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
            if is_head:
                response.content = b""  # type: ignore[attr-defined]
            end()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Convert an exception of a view to a response.

        None for refusals of pages and for unexpected errors: the handlers of `urls.py` answer them.
        """
        if isinstance(exception, Http404 | PermissionDenied | SuspiciousOperation) and is_page(request):
            return None
        error = problem_of(exception) or deleted_user(request, exception)
        return ProblemResponse(error, request.path) if error else None

    def _refuse(self, request: HttpRequest, problem: ProblemResponse) -> HttpResponseBase:
        try:
            return Cors(lambda _request: problem, self.settings)(request)
        except MiddlewareNotUsed:
            return problem


class Cors:
    """CORS for ALLOWED_ORIGINS. Without credentials: browser applications send a token, not cookies."""

    SAFE = frozenset({"accept", "accept-language", "content-language", "content-type"})

    def __init__(self, get_response: View, settings: Settings | None = None) -> None:
        self.get_response = get_response
        self.origins = (settings or django_settings.CORE_SETTINGS).allowed_origins
        if not self.origins:
            raise MiddlewareNotUsed

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        origin = request.headers.get("Origin")
        if origin is None:
            return self.get_response(request)
        allowed = "*" in self.origins or origin in self.origins
        wanted = request.headers.get("Access-Control-Request-Method")
        if request.method == "OPTIONS" and wanted is not None:
            response: HttpResponseBase = self._preflight(request, wanted, allowed=allowed)
        else:
            response = self.get_response(request)
            response.headers["Access-Control-Expose-Headers"] = ", ".join(CORS_EXPOSED_HEADERS)
        patch_vary_headers(response, ["Origin"])
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
        return response

    def _preflight(self, request: HttpRequest, method: str, *, allowed: bool) -> HttpResponse:
        asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
        known = self.SAFE | {header.lower() for header in CORS_HEADERS} | {""}
        if not allowed or method not in CORS_METHODS or not {header.strip() for header in asked} <= known:
            return ProblemResponse(Forbidden(CORS_REFUSAL), "*")
        return HttpResponse(
            headers={
                "Access-Control-Allow-Methods": ", ".join(CORS_METHODS),
                "Access-Control-Allow-Headers": ", ".join(CORS_HEADERS),
                "Access-Control-Max-Age": str(CORS_MAX_AGE_SECONDS),
            }
        )


def then(content: Iterable[bytes], end: Callable[[], None]) -> Iterator[bytes]:
    """Yield `content`. Call `end` afterwards, also after an error."""
    try:
        yield from content
    except Exception as error:
        # The response has started: only a broken connection can signal the error.
        report_failure(error)
        raise
    finally:
        end()


def max_body_bytes(settings: Settings, environ: Mapping[str, Any]) -> int:
    """Return the limit for the body of a request with this WSGI environment: the route's own, or the default."""
    own = own_limit(environ) if LIMITS else None
    return max_bytes(settings, environ["PATH_INFO"], environ.get("CONTENT_TYPE", "")) if own is None else own


def route_of(request: HttpRequest) -> str | None:
    """Return the path template of the matched route, such as `/api/v1/users/{user_id}`, or None."""
    match = request.resolver_match
    return "/" + match.route.replace("<", "{").replace(">", "}") if match else None

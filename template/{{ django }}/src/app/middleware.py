"""What surrounds every request: its id, its line in the log, the security headers, the limits, the last resort."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, cast

import structlog
from django.conf import settings as django_settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.cache import patch_vary_headers
from structlog.contextvars import bind_contextvars, clear_contextvars

from app import telemetry
from app.config import Settings
from app.errors import MethodNotAllowed, ProblemResponse, problem_of
from app.headers import ADMIN
from app.logging import request_id
from app.problems import BadRequest, ContentTooLarge, Forbidden, ProblemError
from app.requests import SERVICE, Request

log = structlog.get_logger()

PROBES = "/health/"

type View = Callable[[HttpRequest], HttpResponseBase]


class RequestContext:
    """The outermost middleware."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response
        self.log = structlog.get_logger().bind()  # once, not at each request
        settings: Settings = django_settings.SERVICE
        self.hosts = settings.hosts
        self.max_body = settings.max_body_bytes
        self.settings = settings
        self.proxies = Proxies(settings.trusted_proxies) if settings.trusted_proxies else None
        self.probes_too = self.log.is_enabled_for(logging.DEBUG)

    def __call__(self, request: Request) -> HttpResponseBase:
        meta = request.META
        path = request.path
        identity = request_id(meta.get("HTTP_X_REQUEST_ID"))
        started = time.perf_counter()
        clear_contextvars()
        bind_contextvars(request_id=identity)
        if trace := telemetry.trace_id(meta.get("HTTP_TRACEPARENT")):
            bind_contextvars(trace_id=trace)
        request.service = meta[SERVICE]
        if self.proxies:
            self.proxies.apply(meta)
        if refusal := self._refusal(meta, path):
            response: HttpResponseBase = self._refuse(request, ProblemResponse(refusal, path))
        else:
            response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = ", ".join(sorted(response.headers["Allow"].split(", ")))
            response = ProblemResponse(MethodNotAllowed(headers={"Allow": allowed}), path)

        headers = response.headers
        headers["X-Request-ID"] = identity

        def tell() -> None:
            probe = path.startswith(PROBES)
            if probe and not self.probes_too:
                return
            write = self.log.debug if probe else self.log.info
            write(
                "request",
                method=request.method,
                route=route_of(request),
                status=int(response.status_code),
                ms=round((time.perf_counter() - started) * 1000, 2),
            )

        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = then(cast("Iterator[bytes]", response.streaming_content), tell)
        else:
            headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
            tell()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view raised; what is not the caller's fault is left to Django, and to `server_error`."""
        error = problem_of(exception)
        return ProblemResponse(error, request.path) if error else None

    def _refuse(self, request: HttpRequest, problem: ProblemResponse) -> HttpResponseBase:
        try:
            return Cors(lambda _request: problem, self.settings)(request)
        except MiddlewareNotUsed:
            return problem

    def _refusal(self, meta: Mapping[str, str], path: str) -> ProblemError | None:
        # A probe calls the process by its address, not by its name.
        if not path.startswith(PROBES) and "*" not in self.hosts and _name(meta.get("HTTP_HOST", "")) not in self.hosts:
            return BadRequest("The service does not answer to this host name; ALLOWED_HOSTS lists those that it does.")
        length = meta.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            return BadRequest("Content-Length must be a number of bytes.")
        return ContentTooLarge() if int(length) > self.max_body else None


class Proxies:
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self.everybody = "*" in trusted
        self.networks = [ip_network(network) for network in trusted if network != "*"]

    def apply(self, meta: dict[str, str]) -> None:
        """Put the caller whom trusted proxies forward in their place."""
        if not self._trusts(meta.get("REMOTE_ADDR", "")):
            return
        if forwarded := meta.get("HTTP_X_FORWARDED_FOR"):
            hops = [hop.strip() for hop in forwarded.split(",")]
            # Each proxy appends the address that it was called from: the last that is no proxy is the caller.
            meta["REMOTE_ADDR"] = next((hop for hop in reversed(hops) if not self._trusts(hop)), hops[0])
        if scheme := meta.get("HTTP_X_FORWARDED_PROTO"):
            meta["wsgi.url_scheme"] = scheme.strip().lower()

    def _trusts(self, address: str) -> bool:
        try:
            return self.everybody or any(ip_address(address) in network for network in self.networks)
        except ValueError:
            return False


class Cors:
    """Lets browser applications of ALLOWED_ORIGINS call the service. No cookies: they send a token themselves."""

    METHODS = ("GET", "POST")
    HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID")
    EXPOSED = ("Location", "Retry-After", "X-Request-ID")
    SAFE = frozenset({"accept", "accept-language", "content-language", "content-type"})

    def __init__(self, get_response: View, settings: Settings | None = None) -> None:
        self.get_response = get_response
        self.origins = (settings or django_settings.SERVICE).allowed_origins
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
            response.headers["Access-Control-Expose-Headers"] = ", ".join(self.EXPOSED)
        patch_vary_headers(response, ["Origin"])
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
        return response

    def _preflight(self, request: HttpRequest, method: str, *, allowed: bool) -> HttpResponse:
        asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
        known = self.SAFE | {header.lower() for header in self.HEADERS} | {""}
        if not allowed or method not in self.METHODS or not {header.strip() for header in asked} <= known:
            return ProblemResponse(Forbidden("This origin, method or header is not allowed."), "*")
        return HttpResponse(
            headers={
                "Access-Control-Allow-Methods": ", ".join(self.METHODS),
                "Access-Control-Allow-Headers": ", ".join(self.HEADERS),
                "Access-Control-Max-Age": "600",
            }
        )


class _ForTheAdministration:
    """Of Django's middleware, what only the administration needs."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(ADMIN):
            response: HttpResponseBase = super().__call__(request)  # type: ignore[misc]
        else:
            response = self.get_response(request)
        return response


class Sessions(_ForTheAdministration, SessionMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        """As Django's, but what cannot be the key of a session is none: PostgreSQL would refuse some of it."""
        if not request.COOKIES.get(django_settings.SESSION_COOKIE_NAME, "0").isalnum():
            del request.COOKIES[django_settings.SESSION_COOKIE_NAME]
        super().process_request(request)


class Csrf(_ForTheAdministration, CsrfViewMiddleware):
    pass


class Authentication(_ForTheAdministration, AuthenticationMiddleware):
    pass


class Messages(_ForTheAdministration, MessageMiddleware):
    pass


def then(content: Iterable[bytes], tell: Callable[[], None]) -> Iterator[bytes]:
    """What is streamed, and `tell` when it ends or breaks off."""
    try:
        yield from content
    except Exception as error:
        # The response is under way: only a broken connection can still say that it is not whole.
        log.exception("request failed")
        telemetry.report(error)
        raise
    finally:
        tell()


def route_of(request: HttpRequest) -> str | None:
    """The route as the documentation writes it, or None when there is none for the path."""
    match = request.resolver_match
    return "/" + match.route.replace("<", "{").replace(">", "}") if match else None


def _name(host: str) -> str:
    """The host name without its port, in small letters: a name has no case (RFC 9110, section 4.2.3)."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

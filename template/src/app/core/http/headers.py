"""Checks of request headers, the headers of every response, and conditional requests (RFC 9110, section 13)."""

import hashlib
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from pydantic import BaseModel
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.core.config import API_PREFIX, Settings
from app.core.observability import telemetry
from app.core.problems import BadRequest, ContentTooLarge, PreconditionFailed, ProblemError

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

ENTITY_TAG = re.compile(r'(W/)?("[!\x23-\x7e\x80-\xff]*")')
"""An entity tag, with the marker of a weak tag (RFC 9110, section 8.8.3). A tag may contain commas."""

MERGE_PATCH = ("application/json", "application/merge-patch+json")
"""The media types of a PATCH body: a merge patch (RFC 7396). Others, such as JSON Patch, have another meaning."""

PROBES = "/health/"
LIVENESS = "/health/live"
DOCS = "/docs"

SECURITY_HEADERS = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
HSTS = MappingProxyType({"Strict-Transport-Security": "max-age=63072000; includeSubDomains"})
"""Sent in production only."""

# 'unsafe-inline': the documentation page starts Swagger UI with an inline script.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS_HEADERS = MappingProxyType({"Content-Security-Policy": DOCS_POLICY})
"""Sent in development only: production has no documentation page."""

CORS_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID")
CORS_EXPOSED_HEADERS = ("ETag", "Location", "Retry-After", "X-Request-ID")
CORS_MAX_AGE_SECONDS = 600
CORS_REFUSAL = "This origin, method or header is not allowed."


def request_id(offered: str | None) -> str:
    """Return the request id of the caller if it matches SANE_REQUEST_ID, against log injection. Otherwise a new id."""
    return offered if offered and SANE_REQUEST_ID.fullmatch(offered) else secrets.token_hex(16)


def identify(offered_id: str | None, traceparent: str | None) -> str:
    """Add the request id and the trace id to all further log lines of this request. Return the request id."""
    identity = request_id(offered_id)
    clear_contextvars()
    bind_contextvars(request_id=identity)
    # Most requests have no trace: skip the call.
    if (traceparent or "opentelemetry.sdk" in sys.modules) and (trace := telemetry.trace_id(traceparent)):
        bind_contextvars(trace_id=trace)
    return identity


class SecurityHeaders[Header]:
    """Security headers in the format of the framework: `docs` for the documentation page, `common` for all others."""

    def __init__(self, settings: Settings, form: Callable[[str, str], Header]) -> None:
        common = SECURITY_HEADERS | (HSTS if settings.production else {})
        docs = common if settings.production else common | DOCS_HEADERS
        self.common = [form(*header) for header in common.items()]
        self.docs = [form(*header) for header in docs.items()]


class RequestCheck:
    """Checks the headers of a request before all other code."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = settings.hosts
        self._any_host = "*" in settings.hosts

    def refusal(self, path: str, host: str, content_length: str, limit: int | None = None) -> ProblemError | None:
        """Return the problem with these headers, or None. `limit` is the largest body in bytes."""
        # A health check calls the process by its address, not by its host name.
        if not self._any_host and not path.startswith(PROBES) and host_name(host) not in self._hosts:
            return BadRequest("The service does not answer to this host name: add it to ALLOWED_HOSTS.")
        if not content_length.isdecimal():
            return BadRequest("Content-Length must be a number of bytes.")
        return ContentTooLarge() if limit is not None and int(content_length) > limit else None


def max_bytes(settings: Settings, path: str, content_type: str) -> int:
    """Return the default limit for a body: parsing JSON or an encoded form takes many times the memory of its text."""
    is_parsed = path.startswith(API_PREFIX) and not content_type.startswith("multipart/")
    return settings.max_json_bytes if is_parsed else settings.max_body_bytes


def host_name(host: str) -> str:
    """Return the host name of a Host header without the port, in lower case (RFC 9110, section 4.2.3)."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def is_json(method: str | None, media_type: str) -> bool:
    """Return whether a route can read a body of this type as JSON."""
    if method == "PATCH":
        return media_type in MERGE_PATCH
    return media_type == MERGE_PATCH[0] or (media_type.startswith("application/") and media_type.endswith("+json"))


class Request(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


class Headers(Protocol):
    def __setitem__(self, name: str, value: str, /) -> None: ...


class Response(Protocol):
    @property
    def headers(self) -> Headers: ...


def etag(resource: BaseModel) -> str:
    """Return the strong entity tag of a response body: a hash of its JSON."""
    return f'"{hashlib.sha256(resource.model_dump_json().encode()).hexdigest()[:32]}"'


def tagged[Resource: BaseModel](response: Response, resource: Resource) -> Resource:
    """Set the ETag of the response, and return the resource unchanged."""
    response.headers["ETag"] = etag(resource)
    return resource


def require_match(request: Request, current: BaseModel | None) -> None:
    """Raise PreconditionFailed if the request has If-Match, and the current resource has none of its tags.

    None is a resource that does not exist yet, which has no tag. Lock the row before, as `get_for_update` does:
    otherwise two requests with the same tag could both succeed.
    """
    # A request may have several lines of one header, and `get` of a framework returns only the first.
    lines = [value for name, value in request.headers.items() if name.lower() == "if-match"]
    if lines and (current is None or not _matches(", ".join(lines), etag(current))):
        raise PreconditionFailed


def _matches(condition: str, current: str) -> bool:
    # If-Match compares strongly: a weak tag never matches (section 13.1.1).
    return condition.strip() == "*" or ("", current) in ENTITY_TAG.findall(condition)

"""Spans and metrics of requests and SQL statements. Imported only when OpenTelemetry is on."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

from app.core.http.headers import PROBES
from app.core.http.middleware import View, route_of, then
from app.core.observability.otel import Statement, meter, observe_pool, tracer

METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

_durations = meter.create_histogram(
    "http.server.request.duration",
    unit="s",
    description="Duration of HTTP server requests.",
    explicit_bucket_boundaries_advisory=(
        *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
        *(1.0, 2.5, 5.0, 7.5, 10.0),
    ),
)
_active = meter.create_up_down_counter(
    "http.server.active_requests", unit="{request}", description="Number of active HTTP server requests."
)


class TracedRequests:
    """The outermost middleware: traces and measures requests, except health checks.

    Names follow OpenTelemetry's semantic conventions.
    """

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(PROBES):
            return self.get_response(request)
        meta = request.META
        method = request.method if request.method in METHODS else "_OTHER"
        active = {"url.scheme": request.scheme or "http", "http.request.method": method}
        attributes: dict[str, Any] = active | {"network.protocol.version": meta["SERVER_PROTOCOL"].partition("/")[2]}
        verb = "HTTP" if method == "_OTHER" else method
        span = tracer.start_span(
            verb,
            context=propagate.extract({"traceparent": meta.get("HTTP_TRACEPARENT", "")}),
            kind=SpanKind.SERVER,
            attributes=attributes | _target(request),
        )
        _active.add(1, active)
        started = time.perf_counter()

        def finish() -> None:
            if route := route_of(request):
                attributes["http.route"] = route
                span.update_name(f"{verb} {route}")
            attributes["http.response.status_code"] = response.status_code
            if response.status_code >= 500:
                attributes["error.type"] = str(response.status_code)
                span.set_status(StatusCode.ERROR)
            span.set_attributes(attributes)
            with trace.use_span(span):
                _durations.record(time.perf_counter() - started, attributes)
            _active.add(-1, active)
            span.end()

        with trace.use_span(span):
            response = self.get_response(request)
        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = then(cast("Iterator[bytes]", response.streaming_content), finish)
        else:
            finish()
        return response


@receiver(connection_created)
def trace_statements(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Record a span and the duration of each statement."""
    if _traced not in connection.execute_wrappers:
        connection.execute_wrappers.append(_traced)


def observe_connections() -> None:
    """Measure the connection pool."""
    pool: Any = default_connection.pool  # type: ignore[attr-defined]  # PostgreSQL's

    def read() -> tuple[int, int]:
        idle = pool.get_stats()["pool_available"]
        return pool.get_stats()["pool_size"] - idle, idle

    observe_pool(pool.max_size, read)


def _traced(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    statement = Statement(sql)
    try:
        result = execute(sql, params, many, context)
    except BaseException as error:
        statement.end(error)
        raise
    statement.end()
    return result


def _target(request: HttpRequest) -> dict[str, Any]:
    name, _, port = request.META.get("HTTP_HOST", "").rpartition(":")
    if not port.isdecimal():
        name, port = f"{name}:{port}".lstrip(":"), "443" if request.is_secure() else "80"
    target = {"server.address": name.strip("[]"), "server.port": int(port), "url.path": request.path}
    query = request.META.get("QUERY_STRING")
    return target | ({"url.query": query} if query else {})

"""Traces and metrics over OTLP, and errors to Sentry. Both are off by default."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import structlog
from structlog.contextvars import get_contextvars

from app.core.config import ABOUT, Settings
from app.core.observability.calls import OutgoingCall
from app.core.observability.logs import first_line

TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2."""


def start(settings: Settings) -> None:
    """Start Sentry and OpenTelemetry if the settings name them. Imports the libraries only then."""
    if settings.sentry_dsn:
        import sentry_sdk  # noqa: PLC0415 -- the import takes 0.1 s
        from sentry_sdk.integrations.atexit import AtexitIntegration  # noqa: PLC0415

        sentry_sdk.init(
            dsn=settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            release=f"{ABOUT.name}@{version(ABOUT.name)}",
            # Only `report` sends errors. Integrations would add log lines, and requests with their bodies.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[AtexitIntegration(callback=lambda *_: None)],
            # Local variables may hold passwords and tokens.
            data_collection={"user_info": False, "http_bodies": [], "stack_frame_variables": False},
            before_send=_without_values,
        )
    if settings.otel_exporter_otlp_endpoint:
        from app.core.observability import otel  # noqa: PLC0415 -- the import takes almost 1 s

        otel.start(settings)


def report(error: BaseException) -> None:
    """Send `error` to Sentry, with the ids of the request, the user and the trace, but without their data."""
    if "sentry_sdk" in sys.modules:
        import sentry_sdk  # noqa: PLC0415 -- already imported

        with sentry_sdk.new_scope() as scope:
            tags = get_contextvars()
            if user := tags.pop("user", None):
                scope.set_user({"id": user})
            scope.set_tags(tags)
            scope.capture_exception(error)


def report_failure(error: BaseException) -> None:
    """Log an unexpected error with its stack trace, and send it to Sentry."""
    structlog.get_logger().error("request failed", exc_info=error)
    report(error)


@contextmanager
def calling(method: str, url: str) -> Iterator[OutgoingCall]:
    """Trace and measure a request to another service if OpenTelemetry is on. `headers` pass the trace on.

    For HTTP clients without an OpenTelemetry instrumentation. Requests of urllib are traced automatically.
    """
    call = OutgoingCall()
    if "opentelemetry.sdk" in sys.modules:
        from app.core.observability import otel  # noqa: PLC0415 -- already imported

        with otel.observed(call, method, url):
            yield call
    else:
        yield call


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace id of the current span, or of the caller's `traceparent` header, or None."""
    if "opentelemetry.sdk" in sys.modules:
        from opentelemetry import trace  # noqa: PLC0415 -- already imported

        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return trace.format_trace_id(context.trace_id)
    named = TRACEPARENT.match(traceparent) if traceparent else None
    return named[1] if named else None


def _without_values(event: Any, _hint: Any) -> Any:
    for exception in event.get("exception", {}).get("values", ()):
        exception["value"] = first_line(exception.get("value") or "")
    return event

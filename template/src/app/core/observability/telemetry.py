"""What the service tells beside its log: traces and metrics over OTLP, errors to Sentry. Each is off by default."""

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
    """Begin what the settings ask for, in the process that serves. Until then nothing of it is imported."""
    if settings.sentry_dsn:
        import sentry_sdk  # noqa: PLC0415 -- takes a tenth of a second that only those who use it should pay
        from sentry_sdk.integrations.atexit import AtexitIntegration  # noqa: PLC0415

        sentry_sdk.init(
            dsn=settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            release=f"{ABOUT.name}@{version(ABOUT.name)}",
            # Only what `report` sends. The integrations would add requests with their bodies, and what was logged.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[AtexitIntegration(callback=lambda *_: None)],
            # Passwords and tokens are among local variables.
            data_collection={"user_info": False, "http_bodies": [], "stack_frame_variables": False},
            before_send=_without_values,
        )
    if settings.otel_exporter_otlp_endpoint:
        from app.core.observability import otel  # noqa: PLC0415 -- takes most of a second

        otel.start(settings)


def report(error: BaseException) -> None:
    """Send `error` to Sentry, with the ids of its request, user and trace, and nothing of what they hold."""
    if "sentry_sdk" in sys.modules:
        import sentry_sdk  # noqa: PLC0415 -- there already

        with sentry_sdk.new_scope() as scope:
            tags = get_contextvars()
            if user := tags.pop("user", None):
                scope.set_user({"id": user})
            scope.set_tags(tags)
            scope.capture_exception(error)


def report_failure(error: BaseException) -> None:
    """Log a defect with its trace, and send it to Sentry."""
    structlog.get_logger().error("request failed", exc_info=error)
    report(error)


@contextmanager
def calling(method: str, url: str) -> Iterator[OutgoingCall]:
    """Trace and measure a request to another service, where that is on; its trace goes on there by `headers`.

    For clients that OpenTelemetry does not know. Those of urllib it observes by itself.
    """
    call = OutgoingCall()
    if "opentelemetry.sdk" in sys.modules:
        from app.core.observability import otel  # noqa: PLC0415 -- there already

        with otel.observed(call, method, url):
            yield call
    else:
        yield call


def trace_id(traceparent: str | None) -> str | None:
    """The id of the trace that this request is part of: its own, or the one that the caller's header names."""
    if "opentelemetry.sdk" in sys.modules:
        from opentelemetry import trace  # noqa: PLC0415 -- there already

        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return trace.format_trace_id(context.trace_id)
    named = TRACEPARENT.match(traceparent) if traceparent else None
    return named[1] if named else None


def _without_values(event: Any, _hint: Any) -> Any:
    for exception in event.get("exception", {}).get("values", ()):
        exception["value"] = first_line(exception.get("value") or "")
    return event

"""OpenTelemetry, with the names of its semantic conventions. Imported only when OpenTelemetry is on."""

import atexit
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.urllib import URLLibInstrumentor
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from app.core.config import ABOUT, Settings
from app.core.observability.calls import OutgoingCall

FLUSH_SECONDS = 3.0
"""Time limit for the last spans and metrics at the end of the process."""

DATABASE = "db.system.name"
OPERATION = re.compile(r"\W*(\w+)")
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+\"?(\w+)", re.IGNORECASE)

tracer = trace.get_tracer(__name__)
meter = metrics.get_meter(__name__)
_durations = meter.create_histogram(
    "db.client.operation.duration",
    unit="s",
    description="Duration of database client operations.",
    explicit_bucket_boundaries_advisory=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)
_calls = meter.create_histogram(
    "http.client.request.duration",
    unit="s",
    description="Duration of HTTP client requests.",
    explicit_bucket_boundaries_advisory=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)


def start(settings: Settings) -> None:
    """Start to send spans and metrics to OTEL_EXPORTER_OTLP_ENDPOINT, and trace requests of urllib.

    Other variables of OpenTelemetry apply too: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS.
    """
    os.environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", settings.otel_exporter_otlp_endpoint or "")
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", ABOUT.name),
            "service.version": version(ABOUT.name),
            "deployment.environment.name": settings.environment,
        }
    )
    # Without a collector, the providers' own shutdown takes up to a minute.
    spans = TracerProvider(resource=resource, shutdown_on_exit=False)
    spans.add_span_processor(_WithoutQueries())
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = MeterProvider([reader], resource, shutdown_on_exit=False)
    metrics.set_meter_provider(meters)
    shut_down_at_exit(spans.shutdown, meters.shutdown)
    URLLibInstrumentor().instrument()


def shut_down_at_exit(*shutdowns: Callable[[], Any]) -> Callable[[], None]:
    """Call `shutdowns` at the end of the process, for at most FLUSH_SECONDS. Return the registered function."""
    begin = threading.Event()
    ends = [threading.Event() for _ in shutdowns]

    def run(shutdown: Callable[[], Any], end: threading.Event) -> None:
        begin.wait()
        with suppress(Exception):
            shutdown()
        end.set()

    # Started now: Python starts no threads at exit. Daemon threads, so that the exit does not wait for them.
    for pair in zip(shutdowns, ends, strict=True):
        threading.Thread(target=run, args=pair, daemon=True).start()

    def flush() -> None:
        begin.set()
        deadline = time.monotonic() + FLUSH_SECONDS
        for end in ends:
            end.wait(max(0, deadline - time.monotonic()))

    atexit.register(flush)
    return flush


class Statement:
    """Span and metric of an SQL statement, from now to `end`. The text has placeholders instead of values."""

    def __init__(self, sql: str) -> None:
        self.attributes = {DATABASE: "postgresql"}
        if operation := OPERATION.match(sql):
            self.attributes["db.operation.name"] = operation[1].upper()
        if table := TABLE.search(sql):
            self.attributes["db.collection.name"] = table[1]
        name = " ".join([*self.attributes.values()][1:]) or "postgresql"
        self.span: trace.Span = trace.INVALID_SPAN
        if trace.get_current_span().is_recording():  # a health check must not start a trace
            attributes = self.attributes | {"db.query.text": sql}
            self.span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        self.started = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        """End the span. `error` is the exception if the statement failed."""
        if error is not None:
            self.attributes["error.type"] = type(error).__name__
            self.span.set_attribute("error.type", self.attributes["error.type"])
            self.span.set_status(StatusCode.ERROR)
        _durations.record(time.perf_counter() - self.started, self.attributes)
        self.span.end()


@contextmanager
def observed(call: OutgoingCall, method: str, url: str) -> Iterator[None]:
    """Trace and measure a request to another service. User, password and query are removed from the recorded URL."""
    parts = urlsplit(url)
    attributes: dict[str, str | int] = {"http.request.method": method, "server.address": parts.hostname or ""}
    attributes["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    full = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    started = time.perf_counter()
    with tracer.start_as_current_span(
        method,
        kind=SpanKind.CLIENT,
        attributes={"url.full": full},
        record_exception=False,  # the message may hold personal data
        set_status_on_exception=False,
    ) as span:
        propagate.inject(call.headers)
        try:
            yield
        except BaseException as error:
            attributes["error.type"] = type(error).__name__
            raise
        finally:
            if call.status:
                attributes["http.response.status_code"] = call.status
                if call.status >= HTTPStatus.BAD_REQUEST:
                    attributes["error.type"] = str(call.status)
            if "error.type" in attributes:
                span.set_status(StatusCode.ERROR)
            span.set_attributes(attributes)
            _calls.record(time.perf_counter() - started, attributes)


def observe_pool(limit: int, read: Callable[[], tuple[int, int]]) -> None:
    """Create the metrics of the pool: `limit`, and the used and idle connections that `read` returns."""
    pool = {"db.client.connection.pool.name": ABOUT.name}

    def count(_: CallbackOptions) -> Iterable[Observation]:
        for state, number in zip(("used", "idle"), read(), strict=True):
            yield Observation(number, pool | {"db.client.connection.state": state})

    create = meter.create_observable_up_down_counter
    create("db.client.connection.count", [count], "{connection}", "Connections that are in use, or idle.")
    most = [lambda _: [Observation(limit, pool)]]
    create("db.client.connection.max", most, "{connection}", "The most connections that there may be.")


class _WithoutQueries(SpanProcessor):
    """Hides the values of query parameters, which may be personal data. The names stay."""

    def on_start(self, span: Span, *_: Any, **__: Any) -> None:
        query: Any = (span.attributes or {}).get("url.query")
        if query:
            names = (part.partition("=")[0] for part in query.split("&"))
            span.set_attribute("url.query", "&".join(f"{name}=REDACTED" for name in names))

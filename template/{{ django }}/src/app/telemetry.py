"""Error reports and traces, off unless the settings name where they go."""

from app.config import Settings


def start(settings: Settings) -> None:
    """Report errors to Sentry when SENTRY_DSN is set, and traces where OTEL_EXPORTER_OTLP_ENDPOINT says.

    Nothing personal goes along.
    """
    if settings.sentry_dsn:
        import sentry_sdk  # noqa: PLC0415 -- takes a tenth of a second that only those who use it should pay

        sentry_sdk.init(
            dsn=settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            send_default_pii=False,
        )
    if settings.otel_exporter_otlp_endpoint:
        from opentelemetry import trace  # noqa: PLC0415 -- as above
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        DjangoInstrumentor().instrument()

"""Error reports; traces are FastAPI's own, switched on in `main`."""

from app.config import Settings


def start(settings: Settings) -> None:
    """Report errors to Sentry when SENTRY_DSN is set. Nothing personal goes along."""
    if settings.sentry_dsn:
        import sentry_sdk  # noqa: PLC0415 -- takes a tenth of a second that only those who use it should pay

        sentry_sdk.init(
            dsn=settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            send_default_pii=False,
        )

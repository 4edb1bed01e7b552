"""The application that servers call, and the only place where its parts are started."""

import io
import os
from typing import Any

import django
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.http.response import HttpResponseBase

from app import db, logging, telemetry
from app.config import Settings
from app.headers import SecurityHeaders, StartResponse
from app.requests import SERVICE, Service
from app.runtime import current

log = structlog.get_logger()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")


class Application(WSGIHandler):
    """Django's, with what all requests have in common.

    It also reads a body that comes in chunks: up to the length at which it would be refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.service = Service.of(django_settings.SERVICE)
        self.security_headers = SecurityHeaders(django_settings.SERVICE)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> HttpResponseBase:
        environ[SERVICE] = self.service
        if "HTTP_TRANSFER_ENCODING" in environ:
            body = environ["wsgi.input"].read(self.service.settings.max_body_bytes + 1)
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return super().__call__(environ, self.security_headers.around(environ["PATH_INFO"], start_response))


def start() -> None:
    """Begin to tell, and reach the database, before the first request, in the process that serves."""
    settings: Settings = django_settings.SERVICE
    telemetry.start(settings)
    if settings.otel_exporter_otlp_endpoint:
        from app.traces import observe_connections  # noqa: PLC0415 -- only where it is on

        observe_connections()
    log.info("start", environment=settings.environment, **current()._asdict())
    if not settings.hosts:
        log.warning("ALLOWED_HOSTS is empty: every request but the health probes is refused")
    try:
        async_to_sync(db.ping)()
    except Exception as error:
        # Readiness says so until it is there; a process that exits would only be started again.
        log.warning("database unavailable", reason=str(error).partition("\n")[0])


def create_application() -> Application:
    """The application. ConfigError or SliceError, in one sentence, when it cannot be put together."""
    settings = Settings.load()
    logging.configure(settings.log_level, json=settings.logs_json)
    django.setup(set_prefix=False)
    import app.urls  # noqa: F401, PLC0415 -- a slice with a mistake is told at start, not at the first request

    return Application()


def __getattr__(name: str) -> Application:
    """`application`, where other servers and Django's own look for it."""
    if name == "application":
        application = create_application()
        start()
        return application
    raise AttributeError(name)

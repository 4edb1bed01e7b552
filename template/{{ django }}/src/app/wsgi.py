"""The application that servers call, and the only place where its parts are started."""

import asyncio
import io
import os
from collections.abc import Callable, Iterable
from typing import Any

import django
import structlog
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler

from app import logging, telemetry
from app.config import Settings
from app.runtime import current

log = structlog.get_logger()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")


class Application(WSGIHandler):
    """Django's, which also reads a body that comes in chunks: up to the length at which it would be refused."""

    def __init__(self) -> None:
        super().__init__()
        self.max_body = django_settings.SERVICE.max_body_bytes

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_TRANSFER_ENCODING" in environ:
            body = environ["wsgi.input"].read(self.max_body + 1)
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return super().__call__(environ, start_response)


def create_application() -> Application:
    """The application. ConfigError or SliceError, in one sentence, when it cannot be put together."""
    settings = Settings.load()
    logging.configure(settings.log_level, json=settings.logs_json)
    telemetry.start(settings)
    django.setup(set_prefix=False)
    import app.urls  # noqa: F401, PLC0415 -- a slice with a mistake is told at start, not at the first request

    return Application()

"""Creation and start of the WSGI application."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import django
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from app.core.config import ConfigError, Settings
from app.core.database.checks import ping
from app.core.observability import logs, telemetry
from app.core.problems import ErrorBody
from app.core.runtime import current
from app.core.slices import SliceError

if TYPE_CHECKING:
    from app.core.http.middleware import Application
    from app.core.http.server.bridge import Bridge

log = structlog.get_logger()

type StartResponse = Callable[..., Any]


def start() -> None:
    """Start telemetry and connect to the database. Called in the serving process, before the first request."""
    settings: Settings = django_settings.CORE_SETTINGS
    telemetry.start(settings)
    if settings.otel_exporter_otlp_endpoint:
        from app.core.observability.traces import observe_connections  # noqa: PLC0415 -- only when it is on

        observe_connections()
    log.info("start", environment=settings.environment, **current()._asdict())
    if not settings.hosts:
        log.warning("only health probes are answered", reason="ALLOWED_HOSTS is empty")
    if settings.production and (fields := _fields_stored_here()):
        log.warning("uploads are not served", fix="set STORAGES or MEDIA_ROOT in src/app/settings.py", fields=fields)
    try:
        with ThreadPoolExecutor(1) as thread:  # `dev` calls this function in an event loop
            thread.submit(async_to_sync(ping)).result()
    except Exception as error:
        # Continue: readiness is 503 until the database answers. A process that exits would only be restarted.
        log.warning("database unavailable", reason=str(error).partition("\n")[0])


def create_server_application() -> "Bridge":
    """Return the started application for the server. Exit with one sentence for an invalid setting or slice."""
    try:
        application = create_application()
    except (ConfigError, SliceError) as error:
        sys.exit(f"{error}")
    start()
    from app.core.http.server.bridge import Bridge  # noqa: PLC0415 -- imports Django's models

    return Bridge(application)


def create_application() -> "Application":
    """Return the application. Raise ConfigError or SliceError, with one sentence, for invalid settings or slices."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    settings = Settings.load()
    logs.configure(settings.log_level, json=settings.logs_json)
    django.setup(set_prefix=False)
    if settings.production and django_settings.DEBUG:
        raise ConfigError("DEBUG in src/app/settings.py must be off in production: it shows settings to every caller.")
    from app.core.http.middleware import Application  # noqa: PLC0415 -- imports Django's models

    _require_error_body()
    import_module(django_settings.ROOT_URLCONF)  # reports errors of slices at the start, and not at the first request
    _set_view_site(settings)
    return Application()


def _require_error_body() -> None:
    """Raise ConfigError unless ERROR_BODY names a subclass of ErrorBody."""
    name = django_settings.ERROR_BODY
    try:
        kind = import_string(name)
    except ImportError as error:
        raise ConfigError(f"ERROR_BODY in src/app/settings.py cannot be imported: {error}") from None
    if not (isinstance(kind, type) and issubclass(kind, ErrorBody)):
        raise ConfigError(f"ERROR_BODY in src/app/settings.py must name a subclass of ErrorBody, and not {name}.")


def _fields_stored_here() -> list[str]:
    """Return the file fields, such as `blog.Post.image`, that store uploads in core's default MEDIA_ROOT."""
    from django.apps import apps  # noqa: PLC0415 -- imports Django's models
    from django.core.files.storage import FileSystemStorage  # noqa: PLC0415 -- as above
    from django.db.models import FileField  # noqa: PLC0415 -- as above

    from app.core.settings import MEDIA_ROOT  # noqa: PLC0415 -- as above

    return [
        f"{model._meta.label}.{field.name}"  # noqa: SLF001 -- Django's documented API
        for model in apps.get_models()
        for field in model._meta.get_fields()  # noqa: SLF001 -- as above
        if isinstance(field, FileField)
        and isinstance(field.storage, FileSystemStorage)
        and field.storage.location == str(MEDIA_ROOT)
    ]


def _set_view_site(settings: Settings) -> None:
    """Set the link "View site" of the admin: to the page at `/` or, without such a page, to the API documentation."""
    from django.contrib import admin  # noqa: PLC0415 -- imports Django's models
    from django.urls import is_valid_path  # noqa: PLC0415 -- as above

    if admin.site.site_url == "/" and not is_valid_path("/"):
        admin.site.site_url = None if settings.production else "/docs"

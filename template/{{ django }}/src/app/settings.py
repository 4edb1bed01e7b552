"""Django's settings: a thin face over `config.py`, where all that the environment decides is read and checked."""

from pathlib import Path
from typing import Any

from psycopg import Connection, OperationalError, ProgrammingError
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from app.config import ConfigError, Settings
from app.slices import find_slices

SERVICE = Settings.load()

WAITING = 4
"""Requests that may wait for each connection of the pool; more are answered 503 at once."""

RECONNECT_SECONDS = 2.0
"""After this the pool begins to connect anew: its waits double, so that a long outage would last twice as long."""

SECRET_KEY = SERVICE.secret_key.get_secret_value()
ALLOWED_HOSTS = sorted(SERVICE.hosts)
# Django's own debugging shows stack traces to whoever asks; DEBUG echoes SQL statements here (see `db.py`).
DEBUG = False

# Slices are found, not registered. One whose name is taken by an application of Django's says so in its `apps.py`, and
# there one that stands on somebody else's application names it under NEEDS.
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *(name for found in find_slices() for name in found.attribute("apps", "NEEDS", tuple) or ()),
    *(f"app.{found.name}" for found in find_slices()),
]
MIDDLEWARE = [
    *(["app.traces.TracedRequests"] if SERVICE.otel_exporter_otlp_endpoint else []),
    "app.middleware.RequestContext",
    "app.middleware.Cors",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "app.middleware.Sessions",
    "app.middleware.Csrf",
    "app.middleware.Authentication",
    "app.middleware.Messages",
]
ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"
LOGGING_CONFIG = None  # `wsgi.py` and `manage.py` configure it, the same for all libraries
# Without the middleware that they miss, Django skips more checks: docs/security.md names the tests in place of all.
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # e-mail addresses are unique whatever their case: a constraint of their own, not `unique=True`
    "security.W009",  # a SECRET_KEY of 32 random bytes is long enough; `config.py` refuses placeholders
    "security.W003",  # app.middleware.Csrf is the middleware that it misses; outside the administration are no cookies
    "security.W001",  # `wsgi.py` sets what SecurityMiddleware would, on errors too; TLS ends before the service
    "security.W002",  # … and X-Frame-Options with them
]


class ImpatientConnection(Connection[Any]):
    """A connection that the service gives up when the server does not answer at all.

    The server ends a statement that takes too long; but nobody says so when the network to it is gone.
    """

    patience: float | None = SERVICE.database_timeout_seconds + 1
    """Seconds. None waits for ever."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            elif self.closed and isinstance(self._pool, ConnectionPool):
                # The server ended it, as a restart ends all; and the pool would wait longer after each that it tries.
                self._pool.drain()
            raise


def database(settings: Settings) -> dict[str, Any]:
    """DATABASE_URL as Django wants it: a pool of connections, each tried before it is used, and with time limits."""
    try:
        options: dict[str, Any] = conninfo_to_dict(settings.database_url or "")
    except ProgrammingError as error:
        raise ConfigError(f"DATABASE_URL is not usable: {str(error).strip()}") from None
    milliseconds = int(settings.database_timeout_seconds * 1000)
    limits = f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", "") or options.get("user", ""),  # as of libpq
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "CONN_MAX_AGE": 0,  # of a request, which gives its connection back to the pool
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options
        | {
            "options": f"{options.get('options', '')} {limits}".strip(),
            "connect_timeout": max(2, int(settings.database_timeout_seconds)),
            "pool": {
                "connection_class": ImpatientConnection,
                "min_size": 1,
                "max_size": settings.database_pool_size,
                "max_waiting": settings.database_pool_size * WAITING,
                "timeout": settings.database_timeout_seconds,
                "reconnect_timeout": RECONNECT_SECONDS,
                "reconnect_failed": ConnectionPool.check,  # it begins again, where the pool would give up
            },
        },
    }


DATABASES = {"default": database(SERVICE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = ["app.users.backends.PasswordBackend"]
# For whoever calls Django's `make_password`: the passwords of users are hashed by `security.py`.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]

# Only the administration has sessions.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SERVICE.production
SESSION_COOKIE_NAME = "__Host-session" if SERVICE.production else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if SERVICE.production else "csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "app.errors.csrf_failed"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Production serves what `collectstatic` gathered, under names that hold a hash of the content; elsewhere the files are
# served from where they lie.
STATIC_URL = "/static/"
STATIC_ROOT = Path(".static").absolute()
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not SERVICE.production
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if SERVICE.production
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# The kernel's middleware limits every body by itself, before Django reads it.
DATA_UPLOAD_MAX_MEMORY_SIZE = None

"""Django's settings: a thin face over `config.py`, where all that the environment decides is read and checked."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.core.config import ABOUT, ConfigError, Settings
from app.core.database.pool import database
from app.core.mail.settings import Settings as MailSettings
from app.core.mail.smtp import TIMEOUT_SECONDS
from app.core.slices import PACKAGE, find_parts, find_rooms, find_slices

CORE_SETTINGS = Settings.load()

SECRET_KEY = CORE_SETTINGS.secret_key.get_secret_value()
ALLOWED_HOSTS = sorted(CORE_SETTINGS.hosts)
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
    *([] if CORE_SETTINGS.production else ["ninja"]),  # the files of /docs; without them, it loads them from elsewhere
    *(name for found in find_parts() for name in found.attribute("apps", "NEEDS", tuple) or ()),
    *(f"app.{room.name}" for room in find_rooms() if room.module("apps")),
    *(f"app.{found.name}" for found in find_slices()),
]
MIDDLEWARE = [
    *(["app.core.http.traces.TracedRequests"] if CORE_SETTINGS.otel_exporter_otlp_endpoint else []),
    "app.core.http.middleware.RequestContext",
    "app.core.http.middleware.Cors",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "app.core.http.pages.Sessions",
    "app.core.http.pages.Common",
    "app.core.http.pages.Csrf",
    "app.core.http.pages.Authentication",
    "app.core.http.pages.Messages",
]
ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"
LOGGING_CONFIG = None  # `wsgi.py` and `manage.py` configure it, the same for all libraries
# Without the middleware that they miss, Django skips more checks: docs/security.md names the tests in place of all.
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # e-mail addresses are unique whatever their case: a constraint of their own, not `unique=True`
    "security.W009",  # a SECRET_KEY of 32 random bytes is long enough; `config.py` refuses placeholders
    "security.W003",  # it misses app.core.http.pages.Csrf; the API reads no cookies
    "security.W001",  # `wsgi.py` sets what SecurityMiddleware would, on errors too; TLS ends before the service
    "security.W002",  # … and X-Frame-Options with them
]


DATABASES = {"default": database(CORE_SETTINGS)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LOCALE_PATHS = [PACKAGE / "locale"]  # for `makemessages`; a slice may have a folder `locale` of its own

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CORE_SETTINGS.redis_url,
        "KEY_PREFIX": ABOUT.name,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
    if CORE_SETTINGS.redis_url
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

AUTH_USER_MODEL = "core_accounts.User"
AUTHENTICATION_BACKENDS = ["app.core.accounts.backends.PasswordBackend"]
PASSWORD_HASHERS = ["app.core.accounts.passwords.QueuedArgon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "app.core.accounts.passwords.PasswordPolicy"}]

# For pages. The API reads no cookies.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CORE_SETTINGS.production
SESSION_COOKIE_NAME = "__Host-session" if CORE_SETTINGS.production else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if CORE_SETTINGS.production else "csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "app.core.http.errors.csrf_failed"
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

# The content security policy of HTML pages, in the form of Django 6.0. A view's own header replaces it.
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}

# Production serves what `collectstatic` gathered, under names that hold a hash of the content; elsewhere the files are
# served from where they lie.
STATIC_URL = "/static/"
STATIC_ROOT = Path(".static").absolute()
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not CORE_SETTINGS.production
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.InMemoryStorage"
        if CORE_SETTINGS.environment == "test"
        else "django.core.files.storage.FileSystemStorage"
    },
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if CORE_SETTINGS.production
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Uploads. Development serves them. In production, name a storage in `STORAGES`, or a MEDIA_ROOT that is backed up and
# that a web server serves: core warns at start when a model has a FileField and neither is set.
MEDIA_URL = "/media/"
MEDIA_ROOT = Path(".media").absolute()

# Django's `send_mail` connects to SMTP_URL at once. `app.core.mail.send` waits for the commit, and does not delay the
# request.
try:
    _mail = MailSettings.load()
except ConfigError:
    _mail = MailSettings.model_construct()  # the service reports it at its start; other commands do not need it
_smtp = urlsplit(_mail.smtp_server or "")
_without_server = {"development": "console", "test": "locmem", "production": "dummy"}[CORE_SETTINGS.environment]
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _mail.smtp_server else _without_server}.EmailBackend"
EMAIL_HOST = _smtp.hostname or "localhost"
EMAIL_USE_SSL = _smtp.scheme == "smtps"
# A server of development, such as Mailpit, may be without TLS. A password is not sent without.
EMAIL_USE_TLS = _smtp.scheme == "smtp" and (CORE_SETTINGS.production or _smtp.username is not None)
EMAIL_PORT = _smtp.port or (465 if EMAIL_USE_SSL else 587)
EMAIL_HOST_USER = unquote(_smtp.username or "")
EMAIL_HOST_PASSWORD = unquote(_smtp.password or "")
EMAIL_TIMEOUT = TIMEOUT_SECONDS
DEFAULT_FROM_EMAIL = SERVER_EMAIL = _mail.mail_from

# Core's middleware limits every body by itself, before Django reads it.
DATA_UPLOAD_MAX_MEMORY_SIZE = None

"""Django's settings. `config.py` reads and checks the environment variables."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.core.config import ABOUT, ConfigError, Settings
from app.core.database.pool import database
from app.core.mail.settings import Settings as MailSettings
from app.core.mail.smtp import TIMEOUT_SECONDS
from app.core.slices import PACKAGE, find_packages, find_parts, find_slices

CORE_SETTINGS = Settings.load()

# Its folders `templates`, `static` and `locale` are found first, also before those of the admin.
BASE_DIR = PACKAGE

SECRET_KEY = CORE_SETTINGS.secret_key.get_secret_value()
ALLOWED_HOSTS = sorted(CORE_SETTINGS.hosts)
# Django's DEBUG shows stack traces to every caller. The variable DEBUG only echoes SQL (see `transactions.py`).
DEBUG = False

# Slices are found, not registered. If another app has the label of a slice, the slice needs an AppConfig in its
# `apps.py`. A slice that needs another app lists it in NEEDS of its `apps.py`.
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *([] if CORE_SETTINGS.production else ["ninja"]),  # files of /docs; otherwise the page loads them from a CDN
    *(name for found in find_parts() for name in found.attribute("apps", "NEEDS", tuple) or ()),
    *(f"app.{package.name}" for package in find_packages() if package.module("apps")),
    *(f"app.{found.name}" for found in find_slices()),
]
MIDDLEWARE = [
    *(["app.core.observability.traces.TracedRequests"] if CORE_SETTINGS.otel_exporter_otlp_endpoint else []),
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
FORCE_SCRIPT_NAME = CORE_SETTINGS.root_path or None
WSGI_APPLICATION = "app.wsgi.application"
LOGGING_CONFIG = None  # `wsgi.py` and `manage.py` configure the logs of all libraries
# Without the expected middleware, Django also skips other checks. docs/security.md lists the tests that replace them.
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # a constraint on lower(email) makes addresses unique, and not `unique=True`
    "security.W009",  # a SECRET_KEY of 32 random bytes is long enough; `config.py` refuses placeholders
    "security.W003",  # app.core.http.pages.Csrf is not recognized; the API reads no cookies
    "security.W001",  # core sets the headers of SecurityMiddleware, also on errors; a proxy terminates TLS
    "security.W002",  # core sets X-Frame-Options
]


DATABASES = {"default": database(CORE_SETTINGS)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LOCALE_PATHS = [BASE_DIR / "locale"]  # for `makemessages`; a slice may have its own folder `locale`

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
AUTHENTICATION_BACKENDS = ["app.core.accounts.auth.backends.PasswordBackend"]
PASSWORD_HASHERS = ["app.core.accounts.auth.passwords.QueuedArgon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "app.core.accounts.auth.passwords.PasswordPolicy"}]

# For pages. The API reads no cookies.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CORE_SETTINGS.production
SESSION_COOKIE_NAME = "__Host-session" if CORE_SETTINGS.production else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if CORE_SETTINGS.production else "csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "app.core.http.errors.csrf_failed"
# The class of the body of error responses: a subclass of ErrorBody.
ERROR_BODY = "app.core.problems.Problem"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

# Content security policy of HTML pages, in the format of Django 6.0. A header that a view sets takes precedence.
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

# Production serves the files of `collectstatic`: their names contain a hash of the content. Elsewhere the files are
# served from their source folders.
STATIC_URL = f"{CORE_SETTINGS.root_path}/static/"
STATIC_ROOT = Path(".static").absolute()
STATICFILES_DIRS = [folder for folder in [BASE_DIR / "static"] if folder.is_dir()]
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

# Uploads. Development serves them. In production, set a storage in `STORAGES`, or a MEDIA_ROOT that has backups and
# that a web server serves. Core warns at the start when a model has a FileField and neither is set.
MEDIA_URL = f"{CORE_SETTINGS.root_path}/media/"
MEDIA_ROOT = Path(".media").absolute()

# Django's `send_mail` connects to SMTP_URL during the request. `app.core.mail.send` sends after the commit, in the
# background.
try:
    _mail = MailSettings.load()
except ConfigError:
    _mail = MailSettings.model_construct()  # the service reports the error at its start; other commands send no e-mail
_smtp = urlsplit(_mail.smtp_server or "")
_without_server = {"development": "console", "test": "locmem", "production": "dummy"}[CORE_SETTINGS.environment]
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _mail.smtp_server else _without_server}.EmailBackend"
EMAIL_HOST = _smtp.hostname or "localhost"
EMAIL_USE_SSL = _smtp.scheme == "smtps"
# A development server, such as Mailpit, may not support TLS. A password is sent only with TLS.
EMAIL_USE_TLS = _smtp.scheme == "smtp" and (CORE_SETTINGS.production or _smtp.username is not None)
EMAIL_PORT = _smtp.port or (465 if EMAIL_USE_SSL else 587)
EMAIL_HOST_USER = unquote(_smtp.username or "")
EMAIL_HOST_PASSWORD = unquote(_smtp.password or "")
EMAIL_TIMEOUT = TIMEOUT_SECONDS
DEFAULT_FROM_EMAIL = SERVER_EMAIL = _mail.mail_from

# Core's middleware limits the size of bodies before Django reads them.
DATA_UPLOAD_MAX_MEMORY_SIZE = None

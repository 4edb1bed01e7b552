"""Django's settings: those of core, then your own. Your settings may extend or replace those of core.

For example: `INSTALLED_APPS += ["django_filters"]`, or `SECURE_CSP["script-src"] += ["https://cdn.example.com"]`.
`DEBUG = CORE_SETTINGS.development` switches Django's debug pages on, also for errors of the API.
`ERROR_BODY = "app.errors.Errors"`, a subclass of `app.core.ErrorBody`, replaces the format of all errors of the API.
"""

from app.core.settings import *

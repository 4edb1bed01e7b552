"""The settings of Django: those of core, then your own. They may add to what core sets, or replace it.

For example: `INSTALLED_APPS += ["django_filters"]`, or `SECURE_CSP["script-src"] += ["https://cdn.example.com"]`.
`DEBUG = CORE_SETTINGS.development` switches Django's debug pages on, also for errors of the API.
"""

from app.core.settings import *

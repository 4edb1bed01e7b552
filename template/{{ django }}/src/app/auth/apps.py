from django.apps import AppConfig


class Auth(AppConfig):
    """The slice under another label: `auth` is that of Django's own application."""

    name = "app.auth"
    label = "log_ins"

"""The messages that wait, as an application of Django's."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Pins what migrations depend on. The label leaves the name `outbox` to a slice."""

    name = "app.core.outbox"
    label = "core_outbox"
    verbose_name = "Outgoing messages"
    default_auto_field = "django.db.models.BigAutoField"

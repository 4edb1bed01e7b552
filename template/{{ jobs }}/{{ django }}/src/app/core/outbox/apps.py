"""The Django application of the outbox."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Sets names that migrations depend on. The label leaves the name `outbox` free for a slice."""

    name = "app.core.outbox"
    label = "core_outbox"
    verbose_name = "Outgoing messages"
    default_auto_field = "django.db.models.BigAutoField"

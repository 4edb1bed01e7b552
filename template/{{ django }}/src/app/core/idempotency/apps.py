"""The Django application of idempotency keys."""

from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    """Sets names that migrations depend on. The label leaves the name `idempotency` free for a slice."""

    name = "app.core.idempotency"
    label = "core_idempotency"
    verbose_name = "Idempotency keys"
    default_auto_field = "django.db.models.BigAutoField"

"""The Django application of accounts."""

from importlib import import_module

from django.apps import AppConfig

from app.core.accounts.auth.roles import declared_roles
from app.core.slices import import_all


class AccountsConfig(AppConfig):
    """Sets names that migrations depend on. The label leaves the name `accounts` free for a slice."""

    name = "app.core.accounts"
    label = "core_accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("app.core.accounts.auth.receivers")
        import_all("listeners")
        declared_roles()  # reports invalid roles at the start

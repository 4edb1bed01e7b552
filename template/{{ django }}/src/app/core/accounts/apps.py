"""The accounts as an application of Django's."""

from django.apps import AppConfig

from app.core.accounts.roles import declared_roles
from app.core.slices import import_all


class AccountsConfig(AppConfig):
    """Pins what migrations depend on. The label leaves the name `accounts` to a slice."""

    name = "app.core.accounts"
    label = "core_accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_all("listeners")
        declared_roles()  # reports a mistake at start

"""Commands of `manage.py` that core replaces."""

from django.apps import AppConfig


class CliConfig(AppConfig):
    name = "app.core.cli"
    label = "core_cli"

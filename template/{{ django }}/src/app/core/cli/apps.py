"""The commands of `manage.py` that core changes."""

from django.apps import AppConfig


class CliConfig(AppConfig):
    name = "app.core.cli"
    label = "core_cli"

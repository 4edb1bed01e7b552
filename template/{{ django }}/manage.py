#!/usr/bin/env python
"""Django's own commands, on the database of the settings: `python manage.py shell`."""

import os
import sys


def main() -> None:
    """Run one command. A mistake of the operator ends in one sentence and exit status 1, without a stack trace."""
    from django.core.exceptions import ImproperlyConfigured

    from app.core.config import ConfigError, Settings
    from app.core.database.embedded import EmbeddedServerError, ensure_database
    from app.core.observability import logs
    from app.core.slices import SliceError

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    try:
        ensure_database()
        settings = Settings.load()
        logs.configure(settings.log_level, json=settings.logs_json)
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except (ConfigError, EmbeddedServerError, ImproperlyConfigured, SliceError) as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()

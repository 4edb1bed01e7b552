"""`manage.py startapp`, which creates the new slice below `src/app`."""

from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import CommandError
from django.core.management.commands import startapp

from app.core.slices import PACKAGE


class Command(startapp.Command):
    def handle(self, **options: Any) -> None:  # type: ignore[override]  # like the base class
        name = options["name"]
        if name in apps.app_configs:
            raise CommandError(f"'{name}' is the label of {apps.get_app_config(name).name}: choose another name.")
        folder = Path(options["directory"] or PACKAGE / name)
        is_new = not options["directory"] and name.isidentifier()  # Django refuses any other name
        if is_new and folder.exists():
            raise CommandError(f"{folder} already exists.")
        if is_new:
            folder.mkdir()
        template = options["template"] or str(Path(__file__).parents[2] / "app_template")
        try:
            super().handle(**options | {"directory": str(folder), "template": template})
        except CommandError:
            if is_new:
                folder.rmdir()
            raise
        self.stdout.write(f"Made the slice {folder}. README.md shows the other files of a slice: Add a slice.")

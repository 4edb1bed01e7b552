"""The Django application of the queue."""

import logging

from django.apps import AppConfig

from app.core.slices import import_all

# The worker logs each job itself. Keep warnings and errors of Procrastinate.
logging.getLogger("procrastinate").setLevel(logging.WARNING)

NEEDS = ("procrastinate.contrib.django",)


class JobsConfig(AppConfig):
    """Imports the tasks of all slices after the models."""

    name = "app.core.jobs"
    label = "core_jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_all("jobs")

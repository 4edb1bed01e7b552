"""The queue as an application of Django's."""

import logging

from django.apps import AppConfig

from app.core.slices import import_all

# What it says of every job, the worker says in a line of its own; errors and warnings are left.
logging.getLogger("procrastinate").setLevel(logging.WARNING)

NEEDS = ("procrastinate.contrib.django",)


class JobsConfig(AppConfig):
    """Finds the tasks of every slice when the models are there."""

    name = "app.core.jobs"
    label = "core_jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_all("jobs")

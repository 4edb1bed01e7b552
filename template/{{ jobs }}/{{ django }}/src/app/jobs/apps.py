"""The queue as an application of Django's."""

import logging

from django.apps import AppConfig

from app.slices import find_slices

# What it says of every job, the worker says in a line of its own; errors and warnings are left.
logging.getLogger("procrastinate").setLevel(logging.WARNING)

NEEDS = ("procrastinate.contrib.django",)


class JobsConfig(AppConfig):
    """Finds the tasks of every slice when the models are there."""

    name = "app.jobs"

    def ready(self) -> None:
        for found in find_slices():
            found.module("jobs")

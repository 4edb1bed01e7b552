"""The job queue: declaring tasks, enqueuing jobs, and connections of workers."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import django
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from procrastinate import PsycopgConnector
from procrastinate.contrib.django import app as queue
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.tasks import Task

from app.core.jobs.deferring import DEFER, Enqueued, says_already_enqueued, written
from app.core.jobs.manager import Manager

__all__ = ["connected", "enqueue", "prepared", "queue"]


def enqueue(what: Enqueued, /, **arguments: Any) -> int:
    """Enqueue a job in the current transaction, and return its id. A rollback discards the job.

    Raise AlreadyEnqueued when a job with the same `queueing_lock` is waiting. The transaction stays usable.
    """
    deferrer = what.configure() if isinstance(what, Task) else what
    with transaction.atomic() if deferrer.job.queueing_lock else nullcontext(), connection.cursor() as cursor:
        try:
            cursor.execute(DEFER.format(jobs="%s"), [written(deferrer, arguments)])
        except IntegrityError as error:
            if says_already_enqueued(error):
                raise AlreadyEnqueued(f"{deferrer.job.queueing_lock} is enqueued already.") from error
            raise
        identity: int = cursor.fetchone()[0]
    return identity


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    """Connect the queue to the database, asynchronously."""
    _set_up()
    # Use prepared statements, which Django turns off. Not with PgBouncer, which may run the next statement on another
    # connection, without the prepared statement.
    parameters = connector_params() | {"prepare_threshold": None if settings.CORE_SETTINGS.database_pooler else 5}
    with queue.replace_connector(PsycopgConnector(kwargs=parameters, min_size=1, max_size=4, timeout=5)) as app:
        app.job_manager = Manager(app.connector)
        async with app.open_async():
            yield


@asynccontextmanager
async def prepared() -> AsyncIterator[dict[str, Any]]:
    """Load the tasks of all slices. Yield their context, which is empty: Django manages connections."""
    _set_up()
    if settings.CORE_SETTINGS.otel_exporter_otlp_endpoint:
        from app.core.observability.traces import observe_connections  # noqa: PLC0415 -- only when it is on

        observe_connections()
    yield {}


def _set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    django.setup(set_prefix=False)

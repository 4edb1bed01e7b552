"""The queue: where tasks are declared, how requests reach it, and how workers do."""

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
    """Enqueue a job in the transaction that is open: none when it is rolled back. Returns the job's id.

    AlreadyEnqueued when a job with the same `queueing_lock` is waiting; the transaction goes on.
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
    """The queue with connections that do not block."""
    _set_up()
    # Django would have each of the few statements planned anew, every time. A pooler may run the next statement on
    # another connection, where a prepared one is not known.
    parameters = connector_params() | {"prepare_threshold": None if settings.CORE_SETTINGS.database_pooler else 5}
    with queue.replace_connector(PsycopgConnector(kwargs=parameters, min_size=1, max_size=4, timeout=5)) as app:
        app.job_manager = Manager(app.connector)
        async with app.open_async():
            yield


@asynccontextmanager
async def prepared() -> AsyncIterator[dict[str, Any]]:
    """The tasks of every slice, and what they find in their context: nothing, Django has connections."""
    _set_up()
    if settings.CORE_SETTINGS.otel_exporter_otlp_endpoint:
        from app.core.http.traces import observe_connections  # noqa: PLC0415 -- only where it is on

        observe_connections()
    yield {}


def _set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    django.setup(set_prefix=False)

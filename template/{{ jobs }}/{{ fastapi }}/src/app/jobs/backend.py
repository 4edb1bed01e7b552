"""The queue: where tasks are declared, how requests reach it, and how workers do."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.tasks import Task
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.config import Settings
from app.db import Database
from app.jobs.deferring import DEFER, Enqueued, says_already_enqueued, written
from app.jobs.manager import Manager
from app.slices import find_slices

# What it says of every job, the worker says in a line of its own; errors and warnings are left.
logging.getLogger("procrastinate").setLevel(logging.WARNING)

queue = App(connector=PsycopgConnector())

_DEFER = text(DEFER.format(jobs=r"(:jobs)"))


def database(context: JobContext) -> Database:
    """The database of the worker, for a task that has `pass_context=True`."""
    found: Database = context.additional_context["database"]
    return found


async def enqueue(session: AsyncSession, what: Enqueued, /, **arguments: Any) -> int:
    """Enqueue a job in the transaction of `session`: none when it is rolled back. Returns the job's id.

    AlreadyEnqueued when a job with the same `queueing_lock` is waiting; the transaction goes on.
    """
    return await session.run_sync(lambda sync: enqueue_within(sync.connection(), what, **arguments))


def enqueue_within(connection: Connection, what: Enqueued, /, **arguments: Any) -> int:
    """The same where there is but the connection, as in an event of a model."""
    deferrer = what.configure() if isinstance(what, Task) else what
    with connection.begin_nested() if deferrer.job.queueing_lock else nullcontext():
        try:
            identity: int = connection.execute(_DEFER, {"jobs": written(deferrer, arguments)}).scalar_one()
        except IntegrityError as error:
            if says_already_enqueued(error):
                raise AlreadyEnqueued(f"{deferrer.job.queueing_lock} is enqueued already.") from error
            raise
    return identity


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    """The queue with its connections."""
    url = Settings.load().database_url or ""
    with queue.replace_connector(PsycopgConnector(conninfo=url, min_size=1, max_size=4, timeout=5)) as app:
        app.job_manager = Manager(app.connector)
        async with app.open_async():
            yield


@asynccontextmanager
async def prepared() -> AsyncIterator[dict[str, Any]]:
    """The tasks of every slice, and what they find in their context."""
    for found in find_slices():
        found.module("models")
        found.module("jobs")
    connections = Database.connect(Settings.load())
    try:
        yield {"database": connections}
    finally:
        await connections.close()

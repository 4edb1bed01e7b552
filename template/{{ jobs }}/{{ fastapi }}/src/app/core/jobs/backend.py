"""The queue: where tasks are declared, how requests reach it, and how workers do."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.tasks import Task
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.engine import Database
from app.core.jobs.deferring import DEFER, Enqueued, says_already_enqueued, written
from app.core.jobs.manager import Manager
from app.core.slices import import_all

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
    deferrer = what.configure() if isinstance(what, Task) else what
    async with session.begin_nested() if deferrer.job.queueing_lock else nullcontext():
        try:
            identity: int = (await session.execute(_DEFER, {"jobs": written(deferrer, arguments)})).scalar_one()
        except IntegrityError as error:
            if says_already_enqueued(error):
                raise AlreadyEnqueued(f"{deferrer.job.queueing_lock} is enqueued already.") from error
            raise
    return identity


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    """The queue with its connections."""
    settings = Settings.load()
    url = settings.database_url or ""
    # A pooler may run the next statement on another connection, where a prepared one is not known.
    prepare = {"prepare_threshold": None if settings.database_pooler else 5}
    connector = PsycopgConnector(conninfo=url, kwargs=prepare, min_size=1, max_size=4, timeout=5)
    with queue.replace_connector(connector) as app:
        app.job_manager = Manager(app.connector)
        async with app.open_async():
            yield


@asynccontextmanager
async def prepared() -> AsyncIterator[dict[str, Any]]:
    """The tasks of every slice, and what they find in their context."""
    for name in ("models", "listeners", "jobs"):
        import_all(name)
    connections = Database.connect(Settings.load())
    try:
        yield {"database": connections}
    finally:
        await connections.close()

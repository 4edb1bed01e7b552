"""The job queue: declaring tasks, enqueuing jobs, and connections of workers."""

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

# The worker logs each job itself. Keep warnings and errors of Procrastinate.
logging.getLogger("procrastinate").setLevel(logging.WARNING)

queue = App(connector=PsycopgConnector())

_DEFER = text(DEFER.format(jobs=r"(:jobs)"))


def database(context: JobContext) -> Database:
    """Return the database of the worker, for a task with `pass_context=True`."""
    found: Database = context.additional_context["database"]
    return found


async def enqueue(session: AsyncSession, what: Enqueued, /, **arguments: Any) -> int:
    """Enqueue a job in the transaction of `session`, and return its id. A rollback discards the job.

    Raise AlreadyEnqueued when a job with the same `queueing_lock` is waiting. The transaction stays usable.
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
    """Connect the queue to the database."""
    settings = Settings.load()
    url = settings.database_url or ""
    # PgBouncer may run the next statement on another connection, without the prepared statement.
    prepare = {"prepare_threshold": None if settings.database_pooler else 5}
    connector = PsycopgConnector(conninfo=url, kwargs=prepare, min_size=1, max_size=4, timeout=5)
    with queue.replace_connector(connector) as app:
        app.job_manager = Manager(app.connector)
        async with app.open_async():
            yield


@asynccontextmanager
async def prepared() -> AsyncIterator[dict[str, Any]]:
    """Load the tasks of all slices. Yield their context: the database."""
    for name in ("models", "listeners", "jobs"):
        import_all(name)
    connections = Database.connect(Settings.load())
    try:
        yield {"database": connections}
    finally:
        await connections.close()

"""Storing of messages, and the jobs that send them."""

import asyncio
from email.message import EmailMessage

from procrastinate import JobContext
from sqlalchemy import delete, text

from app.core.database.engine import Database
from app.core.database.sessions import WriteSession
from app.core.jobs.backend import database, enqueue, queue
from app.core.jobs.deferring import BACKOFF
from app.core.mail.messages import dump, load
from app.core.mail.settings import get_settings
from app.core.mail.smtp import deliver
from app.core.outbox.models import OutgoingMessage
from app.core.outbox.statements import DELETE_ABANDONED as ABANDONED

DELETE_ABANDONED = "outbox.delete_abandoned"


async def put(session: WriteSession, message: EmailMessage) -> None:
    """Store `message` and enqueue its job, in the transaction of `session`."""
    stored = OutgoingMessage(content=dump(message))
    session.add(stored)
    await session.flush()
    await enqueue(session, send_stored, message_id=stored.id)


@queue.task(name="outbox.send", retry=BACKOFF, pass_context=True)
async def send_stored(context: JobContext, message_id: int) -> None:
    """Send a stored message. Delete the message after success, or after the last attempt."""
    connections = database(context)
    async with connections.read_sessions() as session:
        stored = await session.get(OutgoingMessage, message_id)
    if stored is None:
        return  # sent by a worker that died before it finished the job
    try:
        await asyncio.to_thread(deliver, load(stored.content), get_settings())
    except Exception as error:
        if BACKOFF.get_retry_decision(exception=error, job=context.job) is None:
            await _delete(connections, message_id)
        raise
    await _delete(connections, message_id)


@queue.periodic(cron="27 3 * * *")
@queue.task(name=DELETE_ABANDONED, queueing_lock=DELETE_ABANDONED, retry=BACKOFF, pass_context=True)
async def delete_abandoned(context: JobContext, timestamp: int) -> None:
    """Delete messages without a job that will send them."""
    async with database(context).sessions.begin() as session:
        await session.execute(text(ABANDONED))


async def _delete(connections: Database, message_id: int) -> None:
    async with connections.sessions.begin() as session:
        await session.execute(delete(OutgoingMessage).where(OutgoingMessage.id == message_id))

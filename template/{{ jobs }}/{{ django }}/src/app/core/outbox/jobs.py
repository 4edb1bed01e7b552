"""Storing of messages, and the jobs that send them."""

from email.message import EmailMessage

from django.db import connection, transaction
from procrastinate import JobContext

from app.core.database.transactions import give_back
from app.core.jobs.backend import enqueue, queue
from app.core.jobs.deferring import BACKOFF
from app.core.mail.messages import dump, load
from app.core.mail.settings import get_settings
from app.core.mail.smtp import deliver
from app.core.outbox.models import OutgoingMessage
from app.core.outbox.statements import DELETE_ABANDONED as ABANDONED

DELETE_ABANDONED = "outbox.delete_abandoned"


@transaction.atomic
def put(message: EmailMessage) -> None:
    """Store `message` and enqueue its job, in the current transaction."""
    stored = OutgoingMessage.objects.create(content=dump(message))
    enqueue(send_stored, message_id=stored.pk)


@queue.task(name="outbox.send", retry=BACKOFF, pass_context=True)
def send_stored(context: JobContext, message_id: int) -> None:
    """Send a stored message. Delete the message after success, or after the last attempt."""
    found = OutgoingMessage.objects.filter(id=message_id)
    stored = found.first()
    if stored is None:
        return  # sent by a worker that died before it finished the job
    give_back()
    try:
        deliver(load(bytes(stored.content)), get_settings())
    except Exception as error:
        if BACKOFF.get_retry_decision(exception=error, job=context.job) is None:
            found.delete()
        raise
    found.delete()


@queue.periodic(cron="27 3 * * *")
@queue.task(name=DELETE_ABANDONED, queueing_lock=DELETE_ABANDONED, retry=BACKOFF)
def delete_abandoned(timestamp: int) -> None:
    """Delete messages without a job that will send them."""
    with connection.cursor() as cursor:
        cursor.execute(ABANDONED)

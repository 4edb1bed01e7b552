"""Jobs that delete expired data."""

import structlog
from procrastinate import JobContext

from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.jobs import BACKOFF, database, queue

EXPIRED_TOKENS = "accounts.delete_expired_tokens"

log = structlog.get_logger()


@queue.periodic(cron="17 3 * * *")
@queue.task(name=EXPIRED_TOKENS, queueing_lock=EXPIRED_TOKENS, retry=BACKOFF, pass_context=True)
async def delete_expired_tokens(context: JobContext, timestamp: int) -> None:
    """Delete expired sessions and e-mailed tokens. A log-in deletes only sessions of its user, and a few tokens."""
    async with database(context).sessions.begin() as session:
        deleted = await SessionRepository(session).delete_expired()
    log.info("sessions deleted", count=deleted)
    while True:
        async with database(context).sessions.begin() as session:
            if not await EmailTokenRepository(session).delete_expired():
                return

"""Jobs that delete expired data."""

import structlog
from procrastinate import JobContext

from app.core.accounts.repository import RefreshTokenRepository
from app.core.jobs import BACKOFF, database, queue

EXPIRED_TOKENS = "accounts.delete_expired_tokens"

log = structlog.get_logger()


@queue.periodic(cron="17 3 * * *")
@queue.task(name=EXPIRED_TOKENS, queueing_lock=EXPIRED_TOKENS, retry=BACKOFF, pass_context=True)
async def delete_expired_tokens(context: JobContext, timestamp: int) -> None:
    """Delete expired refresh tokens. A log-in deletes only those of its user, who may never return."""
    async with database(context).sessions.begin() as session:
        deleted = await RefreshTokenRepository(session).delete_expired()
    log.info("refresh tokens deleted", count=deleted)

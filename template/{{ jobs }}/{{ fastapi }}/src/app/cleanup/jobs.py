"""What is thrown away at night."""

import structlog
from procrastinate import JobContext
from sqlalchemy import delete, func

from app.auth import RefreshToken
from app.jobs import BACKOFF, database, queue

log = structlog.get_logger()


@queue.periodic(cron="17 3 * * *")
@queue.task(name="cleanup.refresh_tokens", queueing_lock="cleanup.refresh_tokens", retry=BACKOFF, pass_context=True)
async def refresh_tokens(context: JobContext, timestamp: int) -> None:
    """Delete the refresh tokens that have expired: of users who never came back, nobody else does."""
    async with database(context).sessions.begin() as session:
        expired = delete(RefreshToken).where(RefreshToken.expires_at < func.now()).returning(RefreshToken.id)
        deleted = len((await session.scalars(expired)).all())
    log.info("refresh tokens deleted", count=deleted)

"""Jobs that delete expired data."""

import structlog
from django.contrib.sessions.backends.db import SessionStore

from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.jobs import BACKOFF, queue

EXPIRED_TOKENS = "accounts.delete_expired_tokens"
EXPIRED_SESSIONS = "accounts.delete_expired_sessions"

log = structlog.get_logger()


@queue.periodic(cron="17 3 * * *")
@queue.task(name=EXPIRED_TOKENS, queueing_lock=EXPIRED_TOKENS, retry=BACKOFF)
def delete_expired_tokens(timestamp: int) -> None:
    """Delete expired sessions and e-mailed tokens. A log-in deletes only sessions of its user, and a few tokens."""
    deleted = SessionRepository().delete_expired()
    log.info("sessions deleted", count=deleted)
    while EmailTokenRepository().delete_expired():
        pass


@queue.periodic(cron="17 3 * * *")
@queue.task(name=EXPIRED_SESSIONS, queueing_lock=EXPIRED_SESSIONS, retry=BACKOFF)
def delete_expired_sessions(timestamp: int) -> None:
    """Delete expired sessions of the admin. Django does not delete them."""
    SessionStore.clear_expired()

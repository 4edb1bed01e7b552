"""What is thrown away at night."""

import structlog
from django.contrib.sessions.backends.db import SessionStore
from django.db.models.functions import Now

from app.auth import RefreshToken
from app.jobs import BACKOFF, queue

log = structlog.get_logger()


@queue.periodic(cron="17 3 * * *")
@queue.task(name="cleanup.refresh_tokens", queueing_lock="cleanup.refresh_tokens", retry=BACKOFF)
def refresh_tokens(timestamp: int) -> None:
    """Delete the refresh tokens that have expired: of users who never came back, nobody else does."""
    deleted, _ = RefreshToken.objects.filter(expires_at__lt=Now()).delete()
    log.info("refresh tokens deleted", count=deleted)


@queue.periodic(cron="17 3 * * *")
@queue.task(name="cleanup.sessions", queueing_lock="cleanup.sessions", retry=BACKOFF)
def sessions(timestamp: int) -> None:
    """Delete the sessions of the administration that have expired: Django leaves them where they are."""
    SessionStore.clear_expired()

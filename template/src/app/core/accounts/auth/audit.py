"""Security events in the log. docs/observability.md lists them, and says which ones need an alert."""

from typing import Any

import structlog

from app.core.http.limits.addresses import current_client, network

log = structlog.get_logger()

SUSPICIOUS = ("log-in failed", "refresh token reused")


def note(event: str, account: int | None, **details: Any) -> None:
    """Log an event of the account with this id, with the address of the client. None for an unknown account.

    The line also has the request id, and as `user` the caller: an admin who changes another account, for example.
    """
    client = current_client.get()
    write = log.warning if event in SUSPICIOUS else log.info
    write(event, account=account, address=network(client) if client else None, **details)

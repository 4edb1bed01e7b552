"""Delivery without a queue: by two threads of this process, once for each message."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from email.message import EmailMessage
from threading import BoundedSemaphore

import structlog

from app.core.mail.settings import Settings, get_settings
from app.core.mail.smtp import deliver
from app.core.observability import telemetry
from app.core.observability.logs import first_line

MAX_WAITING = 100
"""Messages in memory. More are dropped: the SMTP server is down or too slow."""

log = structlog.get_logger()
_threads = ThreadPoolExecutor(2, thread_name_prefix="mail")
_free = BoundedSemaphore(MAX_WAITING)


def submit(message: EmailMessage) -> None:
    """Deliver `message` soon. A failure is logged and reported; the message is lost then."""
    settings = get_settings()
    if settings.smtp_server is None:
        deliver(message, settings)  # which only logs
    elif _free.acquire(blocking=False):
        # The context holds the request's id, for the log.
        _threads.submit(copy_context().run, _deliver, message, settings)
    else:
        log.warning("e-mail not sent", reason=f"{MAX_WAITING} messages are waiting")


def _deliver(message: EmailMessage, settings: Settings) -> None:
    try:
        deliver(message, settings)
    except Exception as error:
        log.warning("e-mail not sent", error=f"{type(error).__name__}: {first_line(str(error))}")
        telemetry.report(error)
    finally:
        _free.release()

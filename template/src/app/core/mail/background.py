"""Delivery without a queue: two threads of this process try to send each message once."""

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
"""Maximum number of waiting messages. Further messages are dropped: the SMTP server is down or too slow."""

log = structlog.get_logger()
_threads = ThreadPoolExecutor(2, thread_name_prefix="mail")
_free = BoundedSemaphore(MAX_WAITING)


def submit(message: EmailMessage) -> None:
    """Deliver `message` in the background. A failure is logged and reported, and the message is lost."""
    settings = get_settings()
    if settings.smtp_server is None:
        deliver(message, settings)  # only logs the message
    elif _free.acquire(blocking=False):
        # The context has the request id for the log.
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

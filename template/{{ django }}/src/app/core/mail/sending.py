"""Sending of messages: by a worker of the feature jobs, or by a thread of this process after the commit."""

from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from django.db import transaction

from app.core.mail import background
from app.core.mail.messages import compose


def send(to: str, subject: str, text: str, *, name: str = "", html: str | None = None) -> None:
    """Send an e-mail after the commit of the current transaction. A rollback discards the e-mail.

    `name` is the recipient's name. With the feature jobs, a worker delivers the message, and retries with back-off.
    Without jobs, this process tries once, in the background: a failure is logged, and the message is lost.
    Raise ValueError for an invalid address, or a line break in the name or the subject.
    """
    message = compose(to, subject, text, name=name, html=html)
    if outbox := _find_outbox():
        outbox.put(message)
    else:
        transaction.on_commit(partial(background.submit, message), robust=True)


@cache
def _find_outbox() -> ModuleType | None:
    spec = find_spec("app.core.outbox")
    # A removed feature may leave a folder with compiled files. Such a namespace package has no origin.
    return import_module("app.core.outbox.jobs") if spec and spec.origin else None

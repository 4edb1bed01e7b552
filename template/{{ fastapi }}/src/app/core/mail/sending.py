"""Sending of messages: by a worker of the feature jobs, or by a thread of this process after the commit."""

from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from app.core.database.on_commit import on_commit
from app.core.database.sessions import WriteSession
from app.core.mail import background
from app.core.mail.messages import compose


async def send(
    session: WriteSession, to: str, subject: str, text: str, *, name: str = "", html: str | None = None
) -> None:
    """Send an e-mail after the commit of the transaction of `session`. A rollback discards the e-mail.

    `name` is the recipient's name. With the feature jobs, a worker delivers the message, and retries with back-off.
    Without jobs, this process tries once, in the background: a failure is logged, and the message is lost.
    Raise ValueError for an invalid address, or a line break in the name or the subject.
    """
    message = compose(to, subject, text, name=name, html=html)
    if outbox := _find_outbox():
        await outbox.put(session, message)
    else:
        on_commit(session, partial(background.submit, message))


@cache
def _find_outbox() -> ModuleType | None:
    spec = find_spec("app.core.outbox")
    # A removed feature may leave a folder with compiled files. Such a namespace package has no origin.
    return import_module("app.core.outbox.jobs") if spec and spec.origin else None


_find_outbox()  # import the queue now, and not in the first request that sends a message

"""How a message leaves: by the queue of the feature jobs, or without it by a thread after the commit."""

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
    """Send an e-mail when the transaction of `session` is committed; none when it is rolled back.

    `name` is the recipient's. With the feature jobs, a worker delivers the message, and retries with back-off. Without
    it, this process tries once, in the background: a failure is logged, and the message is lost. ValueError for an
    invalid address, or a line break in the name or the subject.
    """
    message = compose(to, subject, text, name=name, html=html)
    if outbox := _find_outbox():
        await outbox.put(session, message)
    else:
        on_commit(session, partial(background.submit, message))


@cache
def _find_outbox() -> ModuleType | None:
    spec = find_spec("app.core.outbox")
    # A feature that was switched off leaves its folder with compiled files behind: a package without an origin.
    return import_module("app.core.outbox.jobs") if spec and spec.origin else None


_find_outbox()  # imports the queue now, instead of in the first request that sends a message

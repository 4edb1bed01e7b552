"""Composing, storing and loading e-mail messages."""

from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid

from email_validator import validate_email

from app.core.mail.settings import get_settings


def compose(to: str, subject: str, text: str, *, name: str = "", html: str | None = None) -> EmailMessage:
    """Return a message to the address `to`. Raise ValueError for an invalid address, or a line break in a header.

    The Message-ID is set here, so that it stays the same when a message is sent twice after the death of a worker.
    """
    message = EmailMessage()
    address = validate_email(to, check_deliverability=False, globally_deliverable=False)
    # Every server accepts the ASCII form of a domain. The local part has no ASCII form.
    message["To"] = Address(name, address.local_part, address.ascii_domain)
    message["Subject"] = subject
    sender = get_settings().mail_from
    message["From"] = sender
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def dump(message: EmailMessage) -> bytes:
    """Return `message` as bytes to store."""
    return message.as_bytes(policy=policy.SMTPUTF8)


def load(stored: bytes) -> EmailMessage:
    """Return the message that `dump` stored."""
    return message_from_bytes(stored, policy=policy.default)

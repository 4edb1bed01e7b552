"""Messages: how one is composed, and how it is stored."""

from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid

from email_validator import validate_email

from app.core.mail.settings import get_settings


def compose(to: str, subject: str, text: str, *, name: str = "", html: str | None = None) -> EmailMessage:
    """Return a message to the address `to`. ValueError for an invalid address, or a line break in a header.

    Its Message-ID is made here: a message that is sent twice, because a worker died, has the same one.
    """
    message = EmailMessage()
    address = validate_email(to, check_deliverability=False, globally_deliverable=False)
    # Every server takes the ASCII form of a domain. A local part has no such form.
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
    """Return `message` as it is stored."""
    return message.as_bytes(policy=policy.SMTPUTF8)


def load(stored: bytes) -> EmailMessage:
    """Return the message that `dump` stored."""
    return message_from_bytes(stored, policy=policy.default)

"""Writing and sending e-mail."""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from urllib.parse import unquote, urlsplit

import structlog

from app.about import ABOUT
from app.mail.settings import Settings

SECONDS = 10.0
"""Longest time that the SMTP server may keep silent."""

log = structlog.get_logger()


class UnsafeServerError(Exception):
    """The SMTP server offers no TLS, and this is production."""


def welcome_letter(name: str, email: str) -> EmailMessage:
    """What a user reads after registering."""
    letter = EmailMessage()
    letter["Subject"] = f"Welcome to {ABOUT.title}"
    letter["To"] = Address(display_name=name, addr_spec=email)
    letter.set_content(f"Hello {name},\n\nyou are registered with {ABOUT.title} under {email}.\n")
    return letter


def send(letter: EmailMessage, settings: Settings) -> None:
    """Hand `letter` to the SMTP server; without one, outside production, log it instead.

    OSError or SMTPException when the server does not take it, UnsafeServerError when it would read along in production.
    """
    letter["From"] = settings.mail_from
    letter["Date"] = localtime()
    letter["Message-ID"] = make_msgid(domain=settings.mail_from.partition("@")[2])
    if settings.smtp_url is None:
        log.info("e-mail", to=str(letter["To"]), subject=letter["Subject"], text=letter.get_content())
        return
    url = urlsplit(settings.smtp_url.get_secret_value())
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(url.hostname or "", url.port or 465, timeout=SECONDS, context=context)
        if url.scheme == "smtps"
        else smtplib.SMTP(url.hostname or "", url.port or 587, timeout=SECONDS)
    ) as server:
        if url.scheme == "smtp":
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif settings.production:
                raise UnsafeServerError(f"{url.hostname} offers no TLS.")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(letter)

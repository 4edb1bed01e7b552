"""Writing and sending e-mail."""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from urllib.parse import unquote, urlsplit

import structlog
from email_validator import validate_email

from app.about import ABOUT
from app.jobs import PermanentError
from app.mail.settings import Settings

SECONDS = 10.0
"""Longest time that the SMTP server may keep silent."""

PERMANENT = 500
"""From here on, a code of the SMTP server is its last word (RFC 5321, 4.2.1)."""

log = structlog.get_logger()


class UnsafeServerError(Exception):
    """The SMTP server offers no TLS, and this is production."""


class UndeliverableError(PermanentError):
    """The SMTP server refuses the letter for good, or offers no SMTPUTF8 where the address needs it."""


def welcome_letter(name: str, email: str) -> EmailMessage:
    """What a user reads after registering."""
    letter = EmailMessage()
    letter["Subject"] = f"Welcome to {ABOUT.title}"
    address = validate_email(email, check_deliverability=False)
    # A server need know nothing of this form of a domain; of a local part there is no such form.
    letter["To"] = Address(name, address.local_part, address.ascii_domain)
    letter.set_content(f"Hello {name},\n\nyou are registered with {ABOUT.title} under {email}.\n")
    return letter


def send(letter: EmailMessage, settings: Settings) -> None:
    """Hand `letter` to the SMTP server; without one, development logs it instead.

    OSError or SMTPException when the server does not take it, UndeliverableError when it never will,
    UnsafeServerError when it would read along in production.
    """
    letter["From"] = settings.mail_from
    letter["Date"] = localtime()
    letter["Message-ID"] = make_msgid(domain=settings.mail_from.partition("@")[2])
    if settings.smtp_url is None:
        if settings.environment == "development":
            log.info("e-mail", to=str(letter["To"]), subject=letter["Subject"], text=letter.get_content())
        else:
            log.warning("e-mail not sent", reason="SMTP_URL is not set")
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
        try:
            server.send_message(letter)
        except smtplib.SMTPNotSupportedError as error:
            raise UndeliverableError(f"{url.hostname} takes addresses of ASCII alone: no SMTPUTF8.") from error
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            if isinstance(error, smtplib.SMTPRecipientsRefused):
                code = min(code for code, _ in error.recipients.values())
            else:
                code = error.smtp_code
            if code < PERMANENT:
                raise
            # Without what the server says besides: it may name the address, and this is logged.
            raise UndeliverableError(f"{url.hostname} refuses the letter for good, with {code}.") from None

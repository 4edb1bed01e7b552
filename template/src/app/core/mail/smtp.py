"""The SMTP client."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import structlog

from app.core.mail.settings import Settings
from app.core.retries import PermanentError

TIMEOUT_SECONDS = 10.0
"""Time limit for one response of the SMTP server."""

PERMANENT = 500
"""Lowest SMTP code of a permanent failure (RFC 5321, section 4.2.1)."""

log = structlog.get_logger()


class UnsafeServerError(Exception):
    """The SMTP server does not offer TLS, which production requires."""


class TemporaryRefusalError(Exception):
    """The SMTP server refuses the message temporarily."""


class UndeliverableError(PermanentError):
    """The SMTP server refuses the message permanently, or lacks the SMTPUTF8 that the address needs."""


def deliver(message: EmailMessage, settings: Settings) -> None:
    """Send `message` to the SMTP server. Without a server, development logs the message.

    Raises OSError, SMTPException or TemporaryRefusalError when a later attempt may succeed, UndeliverableError when no
    attempt can succeed, and UnsafeServerError when a server does not offer TLS in production. Error messages contain no
    address, because errors are logged.
    """
    if settings.smtp_server is None:
        if settings.development:
            text = message.get_body(("plain",))
            log.info(
                "e-mail",
                to=str(message["To"]),
                subject=str(message["Subject"]),
                text=text.get_content() if text else "",
            )
        else:
            log.warning(
                "e-mail not sent", reason="SMTP_URL is not set" if settings.smtp_url is None else "SMTP_URL=off"
            )
        return
    url = urlsplit(settings.smtp_server)
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(url.hostname or "", url.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        if url.scheme == "smtps"
        else smtplib.SMTP(url.hostname or "", url.port or 587, timeout=TIMEOUT_SECONDS)
    ) as server:
        if url.scheme == "smtp":
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif settings.production:
                raise UnsafeServerError(f"{url.hostname} does not offer TLS.")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        try:
            server.send_message(message)
        except smtplib.SMTPNotSupportedError as error:
            raise UndeliverableError(f"{url.hostname} does not support SMTPUTF8, which the address needs.") from error
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            if isinstance(error, smtplib.SMTPRecipientsRefused):
                code = min(code for code, _ in error.recipients.values())
            else:
                code = error.smtp_code
            # `from None`: the response of the server may contain the address.
            if code < PERMANENT:
                raise TemporaryRefusalError(f"{url.hostname} refuses the message for now, with {code}.") from None
            raise UndeliverableError(f"{url.hostname} refuses the message permanently, with {code}.") from None

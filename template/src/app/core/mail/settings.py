"""Settings of the SMTP server and of the sender."""

import re
from functools import cache
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from app.core.config import Environment
from app.core.values import HttpUrl

OFF = "off"
"""Value of SMTP_URL for a service that sends no e-mail."""


def validate_smtp(url: SecretStr) -> SecretStr:
    """Return `url`. Raise ValueError unless it is the URL of an SMTP server or `off`."""
    parts = urlsplit(url.get_secret_value())
    if url.get_secret_value() != OFF and (parts.scheme not in {"smtp", "smtps"} or not parts.hostname):
        raise ValueError("must look like smtp://user:password@host:587, or smtps:// for implicit TLS, or be off")
    return url


def validate_sender(sender: str) -> str:
    """Return `sender`. Raise ValueError when it is not an address."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", sender):
        raise ValueError("must be an address like service@example.com")
    return sender


class Verification(Environment):
    """The setting of core that needs e-mail."""

    verify_email: bool = False


class Settings(Environment):
    """Settings of e-mail."""

    smtp_url: Annotated[SecretStr, AfterValidator(validate_smtp)] | None = Field(
        default=None,
        examples=["smtps://user:password@mail.example.com"],
        description="`smtp://user:password@host:587`, `smtps://…`, or `off`; required in production; "
        "without it, development logs messages",
    )
    mail_from: Annotated[str, AfterValidator(validate_sender)] = Field(
        default="service@localhost",
        examples=["service@example.com"],
        description="sender of e-mail; required in production",
    )

    frontend_url: HttpUrl | None = Field(
        default=None,
        examples=["https://shop.example.com"],
        description="web application that e-mails link to; without it, e-mails contain a token",
    )

    @property
    def smtp_server(self) -> str | None:
        """URL of the SMTP server, or None if e-mail is off."""
        url = self.smtp_url.get_secret_value() if self.smtp_url else OFF
        return None if url == OFF else url

    @model_validator(mode="after")
    def _sends_for_verification(self) -> Self:
        if self.smtp_url and self.smtp_server is None and Verification.load().verify_email:
            raise ValueError("VERIFY_EMAIL needs e-mail: set SMTP_URL to a server instead of off, or VERIFY_EMAIL off")
        return self

    @model_validator(mode="after")
    def _complete_in_production(self) -> Self:
        if self.production and self.smtp_url is None:
            raise ValueError("SMTP_URL is required in production; SMTP_URL=off when the service sends no e-mail")
        if self.production and self.smtp_server and "mail_from" not in self.model_fields_set:
            raise ValueError("MAIL_FROM is required in production, for example service@example.com")
        return self


@cache
def get_settings() -> Settings:
    return Settings.load()

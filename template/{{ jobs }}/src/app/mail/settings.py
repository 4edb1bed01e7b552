"""Where e-mail goes, and in whose name."""

import re
from functools import cache
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from app.config import Environment


def validate_smtp(url: SecretStr) -> SecretStr:
    """Return `url`; ValueError when it names no SMTP server."""
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("must look like smtp://user:password@host:587, or smtps:// for TLS from the first byte")
    return url


def validate_sender(sender: str) -> str:
    """Return `sender`; ValueError when it is no address."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", sender):
        raise ValueError("must be an address like service@example.com")
    return sender


class Settings(Environment):
    """The slice's settings."""

    smtp_url: Annotated[SecretStr, AfterValidator(validate_smtp)] | None = Field(
        default=None,
        examples=["smtps://user:password@mail.example.com"],
        description="`smtp://user:password@host:587` or `smtps://…`; required in production, logged in development",
    )
    mail_from: Annotated[str, AfterValidator(validate_sender)] = Field(
        default="service@localhost",
        examples=["service@example.com"],
        description="the address that e-mail comes from; required in production",
    )

    @model_validator(mode="after")
    def _complete_in_production(self) -> Self:
        for name in ("smtp_url", "mail_from"):
            if self.production and name not in self.model_fields_set:
                raise ValueError(f"{name.upper()} is required in production")
        return self


@cache
def get_settings() -> Settings:
    """The settings of this process."""
    return Settings.load()

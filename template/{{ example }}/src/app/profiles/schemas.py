"""Schemas of profiles."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints

from app.core import BaseSchema, ShortText


@cache
def _time_zones() -> set[str]:
    return available_timezones()  # slow: reads a folder of the system


def validate_time_zone(name: str) -> str:
    """Return `name`. Raise ValueError unless it is a time zone of the IANA database."""
    if name not in _time_zones():
        raise ValueError("must be a name of the IANA time zone database, such as Europe/Berlin")
    return name


Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$"), Field(examples=["+493012345678"])]
"""A telephone number in international form (E.164)."""

Locale = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35),
    Field(examples=["de-CH"]),
]
"""A language tag (BCP 47)."""

TimeZone = Annotated[
    str, StringConstraints(max_length=64), AfterValidator(validate_time_zone), Field(examples=["Europe/Berlin"])
]
"""The name of a time zone (IANA)."""


class ProfileUpdate(BaseSchema):
    """Request to change a profile. `null` clears a field."""

    display_name: ShortText | None = None
    phone: Phone | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None


class ProfileResponse(BaseSchema):
    """A profile, as seen by its user."""

    display_name: str | None
    phone: str | None
    locale: str | None
    time_zone: str | None

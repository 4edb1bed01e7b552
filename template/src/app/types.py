"""Types that mean the same in every slice; each refuses what the database would refuse."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, Secret, StringConstraints, WithJsonSchema


def validate_positive[N: (int, Decimal)](value: N) -> N:
    """Return `value`; ValueError unless it is above zero."""
    if value <= 0:
        raise ValueError("must be positive")
    return value


def validate_written_out(value: Any) -> Any:
    """Return `value`; ValueError for text or numbers that Pydantic would read as seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("must be a date such as 2026-01-31")


@cache
def _common_passwords() -> frozenset[str]:
    # The 3000 most frequent ones of at least 8 characters, of the list that Django and SecLists (MIT) keep.
    return frozenset((Path(__file__).parent / "common_passwords.txt").read_text("utf-8").split())


def validate_uncommon(password: str) -> str:
    """Return `password`; ValueError for one that is tried first by everybody who guesses (OWASP ASVS 5.0, 6.2.4)."""
    if password.lower() in _common_passwords():
        raise ValueError("is one of the most common passwords")
    return password


def to_cents(value: Decimal) -> Decimal:
    """The same amount with two decimals, so that every amount in a response has one form."""
    return value.quantize(Decimal("0.01"))


def whole(value: Any) -> Any:
    """Return `value`, and 1 for 1.0: JSON does not tell the two apart, and neither does JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_utc(value: datetime) -> datetime:
    """The same instant in UTC, so that every time in a response has one form."""
    return value.astimezone(UTC)


PositiveInt = Annotated[
    int,
    Field(strict=True, le=2**31 - 1, json_schema_extra={"exclusiveMinimum": 0}),
    AfterValidator(validate_positive),
    BeforeValidator(whole),
]
"""A count above zero that fits PostgreSQL's `integer`; neither `true` nor `"1"` is one."""

Money = Annotated[
    Decimal,
    Field(max_digits=12, decimal_places=2),
    AfterValidator(validate_positive),
    AfterValidator(to_cents),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^([1-9]\d{0,9}(\.\d{1,2})?|0\.(0[1-9]|[1-9]\d?))$"},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 9_999_999_999.99, "multipleOf": 0.01},
            ]
        },
        mode="validation",
    ),
]
"""An amount above zero in the service's one currency, exact to the cent; in responses a string, such as `"19.90"`."""

Identifier = Annotated[int, Field(ge=1, le=2**53 - 1)]
"""A primary key: above zero, and at most what every reader of JSON keeps exact (RFC 7493, section 2.2)."""

Reference = Annotated[int, Field(strict=True, ge=1, le=2**53 - 1), BeforeValidator(whole)]
"""An `Identifier` in a body, where it must be a number."""

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""What one line of text looks like: not blank, no control characters (PostgreSQL cannot store NUL)."""

Line = Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE)]
"""One line of text to show to people."""

Password = Annotated[
    Secret[Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=128)]],
    WithJsonSchema({"type": "string", "format": "password", "minLength": 1, "maxLength": 128, "writeOnly": True}),
]
"""A password as it was typed, blanks included; never shown by `repr`, so never logged."""

NewPassword = Annotated[
    Secret[
        Annotated[
            str,
            StringConstraints(strip_whitespace=False, min_length=8, max_length=128),
            AfterValidator(validate_uncommon),
        ]
    ],
    WithJsonSchema({"type": "string", "format": "password", "minLength": 8, "maxLength": 128, "writeOnly": True}),
]
"""A password that somebody chooses: at least 8 characters, of any kind, and none of the most common."""

Day = Annotated[date, BeforeValidator(validate_written_out)]
"""A calendar day, written `2026-01-31`."""

UtcDatetime = Annotated[AwareDatetime, AfterValidator(to_utc)]
"""An instant. A time without an offset is refused."""

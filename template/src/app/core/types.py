"""Shared types for all slices. Each type refuses values that the database would refuse."""

import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Control characters, line separators, and characters that change the direction of the text around them."""

CONTROL_IN_TEXT = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
"""As `CONTROL`, but for several lines of text, which may contain tabs and line ends."""

INVISIBLE = (
    r"\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2064\u206a-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
)

LOOKS_EMPTY = re.compile(rf"[{INVISIBLE}{CONTROL}\U000e0000-\U000e0fff]*")

HIDDEN = [
    re.compile(pattern)
    for pattern in (
        # Soft hyphens, zero-width spaces, direction marks, fillers.
        r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0]",
        # Tags, which can spell a whole text, except in the emoji of flags.
        r"(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]+",
        # Selectors of a variant, except of keycaps, emoji and ideographs.
        r"(?<![#*0-9\u00a9\u00ae\u0590-\u200b\u200e-\ufdff\ufe10-\U000e00ff])[\ufe00-\ufe0f\U000e0100-\U000e01ef]",
        # Joiners, except in scripts that join (Persian, Hindi) and between emoji.
        r"(?<![\u0590-\u200b\u200e-\U0010ffff])[\u200c\u200d]",
        r"[\u200c\u200d](?![\u0590-\u200b\u200e-\U0010ffff])",
    )
]
"""Characters that make two names differ although they look the same."""

SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
"""The spaces of Unicode (category Zs) except the blank."""

MAX_MARKS = 30
"""Maximum combining marks in a row (UAX #15, section 13): normalization time is quadratic in their number."""

PRINTABLE = rf"^[^{CONTROL}]*[^{INVISIBLE}{CONTROL}][^{CONTROL}]*$"
"""The pattern of `Line` in JSON Schema."""


PLAIN = r"^\s*-?[0-9]+(\.[0-9]+)?\s*$"
NOT_PLAIN = "must be a number such as 12 or 12.50"


def validate_positive(value: Decimal) -> Decimal:
    """Return `value`. Raise ValueError unless it is above zero."""
    if value <= 0:
        raise ValueError("must be positive")
    return value


def has_few_marks(value: str) -> bool:
    """Return whether at most MAX_MARKS combining marks follow each other."""
    runs = groupby(value, key=lambda character: unicodedata.combining(character) > 0)
    return value.isascii() or all(sum(1 for _ in run) <= MAX_MARKS for is_mark, run in runs if is_mark)


def validate_line(value: str) -> str:
    """Return `value` with plain spaces, and without hidden characters. Raise ValueError unless it is one line.

    Two keyboards then store the same text (RFC 8266, section 2). PostgreSQL cannot store NUL.
    """
    if re.search(rf"[{CONTROL}]", value):
        raise ValueError("must be one line of text, without control characters")
    value = SPACES.sub(" ", value)
    for hidden in HIDDEN:
        value = hidden.sub("", value)
    return validate_text(value.strip())


def validate_text(value: str) -> str:
    """Return `value` in NFC. Raise ValueError for invisible text, and control characters except tabs and line ends."""
    if LOOKS_EMPTY.fullmatch(value):
        raise ValueError("must not be blank")
    if not has_few_marks(value):
        raise ValueError(f"must not have more than {MAX_MARKS} combining marks in a row")
    if re.search(rf"[{CONTROL_IN_TEXT}]", value):
        raise ValueError("must not contain control characters")
    return unicodedata.normalize("NFC", value)


def validate_visible(value: str) -> str:
    """Return `value`. Raise ValueError for invisible characters: two addresses that look the same must not differ."""
    if any(LOOKS_EMPTY.fullmatch(character) for character in value):
        raise ValueError("must not contain invisible characters")
    return value


def validate_written_out(value: Any) -> Any:
    """Return `value`. Raise ValueError for numbers and text that Pydantic would read as seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("must be a date such as 2026-01-31")


def validate_plain(value: Any) -> Any:
    """Return `value`. Raise ValueError for text such as `1_0`, which Python reads as a number."""
    if isinstance(value, str) and not re.fullmatch(PLAIN, value):
        raise ValueError(NOT_PLAIN)
    return value


def validate_flag(value: Any) -> Any:
    """Return `value`. Raise ValueError for text such as `yes` or `1`, which Pydantic would read as `true`."""
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("must be true or false")
    return value


def to_cents(value: Decimal) -> Decimal:
    """Return the amount with two decimals, so that all amounts in responses have the same format."""
    return value.quantize(Decimal("0.01"))


def validate_timestamp(value: Any) -> Any:
    """Return `value`. Raise ValueError for numbers and text that Pydantic would read as seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", value)):
        return value
    raise ValueError("must be a time such as 2026-01-31T12:00:00Z")


def to_utc(value: datetime) -> datetime:
    """Return the time in UTC, so that all times in responses have the same format."""
    try:
        return value.astimezone(UTC)
    except OverflowError:  # for example, 9999-12-31T23:59:59-12:00
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


class ReadAs:
    """Parses a value with a schema of pydantic-core first: like a BeforeValidator, but without a Python function."""

    def __init__(self, schema: CoreSchema) -> None:
        self.schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.chain_schema([self.schema, handler(source)])

    def __get_pydantic_json_schema__(self, chain: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(chain["steps"][1])


_INT = core_schema.int_schema()
_STRICT_INT = core_schema.int_schema(strict=True)
_PLAIN_TEXT = core_schema.chain_schema([core_schema.str_schema(strict=True, pattern=PLAIN), _INT])

WHOLE = ReadAs(
    core_schema.union_schema(
        [_STRICT_INT, core_schema.chain_schema([core_schema.float_schema(strict=True), _INT])],
        mode="left_to_right",
        custom_error_type="int_type",
    )
)
"""A whole number, also 1.0: JSON and JSON Schema treat 1.0 and 1 as the same number."""

DIGITS = ReadAs(
    core_schema.union_schema(
        [_PLAIN_TEXT, _STRICT_INT],
        mode="left_to_right",
        custom_error_type="not_plain",
        custom_error_message=NOT_PLAIN,
    )
)
"""A number or its digits, but not text such as `1_0`, which Python reads as a number."""

PositiveInt = Annotated[int, Field(strict=True, gt=0, le=2**31 - 1), WHOLE]
"""A number above zero within PostgreSQL's `integer`. `true` and `"1"` are refused."""

NonNegativeInt = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1), WHOLE]
"""A whole number in a JSON body: zero or above, at most 2**31 - 1."""

Flag = Annotated[bool, BeforeValidator(validate_flag)]
"""A query parameter: `true` or `false`."""

Money = Annotated[
    Decimal,
    Field(max_digits=12, decimal_places=2),
    AfterValidator(validate_positive),
    AfterValidator(to_cents),
    BeforeValidator(validate_plain),
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
"""An amount above zero with two decimals, in the currency of the service. A string in responses: `"19.90"`."""

PathId = Annotated[int, Field(ge=1, le=2**53 - 1), DIGITS]
"""A primary key: above zero, at most 2**53 - 1, which all JSON parsers read exactly (RFC 7493, section 2.2)."""

BodyId = Annotated[int, Field(strict=True, ge=1, le=2**53 - 1), WHOLE]
"""A primary key in a JSON body: a number, not a string."""

Line = Annotated[str, Field(json_schema_extra={"pattern": PRINTABLE}), AfterValidator(validate_line)]
"""One line of text with a visible character, without control characters. Stored in NFC, without hidden characters."""

ShortText = Annotated[Line, Field(max_length=200)]
"""One line of text, at most 200 characters."""

LongText = Annotated[
    str,
    Field(max_length=10_000, json_schema_extra={"pattern": rf"^[^{CONTROL_IN_TEXT}]*$", "minLength": 1}),
    AfterValidator(validate_text),
]
"""Several lines of text, at most 10,000 characters: not blank, without control characters except tabs and line ends."""

Day = Annotated[date, BeforeValidator(validate_written_out)]
"""A calendar day, written `2026-01-31`."""

UtcDatetime = Annotated[AwareDatetime, AfterValidator(to_utc), BeforeValidator(validate_timestamp)]
"""A time, converted to UTC. A number, and a time without an offset, are refused."""

"""Types and schemas that all slices share."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from app.core import types
from app.core.schemas import BaseSchema, DateRange, DiscriminatedBy, Page
from app.core.types import Money, PositiveInt, ShortText, UtcDatetime


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("PositiveInt", "1", 1),
        ("PositiveInt", "2147483647", 2**31 - 1),
        ("PositiveInt", "1.0", 1),
        ("NonNegativeInt", "0", 0),
        ("NonNegativeInt", "5.0", 5),
        ("Flag", '"true"', True),
        ("Flag", '"false"', False),
        ("BodyId", "7", 7),
        ("Money", "0.01", Decimal("0.01")),
        ("Money", '"19.90"', Decimal("19.90")),
        ("Money", "0.1", Decimal("0.1")),
        ("Money", "9999999999.99", Decimal("9999999999.99")),
        ("PathId", "1", 1),
        ("PathId", "9007199254740991", 2**53 - 1),
        ("ShortText", '"Ada Lovelace"', "Ada Lovelace"),
        ("ShortText", '"\\u00e9\\u4e2d\\ud83d\\ude00"', "é中😀"),
        ("ShortText", json.dumps("x" * 200), "x" * 200),
        ("LongText", '"one\\ntwo\\r\\n\\tthree"', "one\ntwo\r\n\tthree"),
        ("LongText", json.dumps("x" * 10_000), "x" * 10_000),
        ("ShortText", json.dumps("\U0001f469\u200d\U0001f680"), "\U0001f469\u200d\U0001f680"),
        (
            "ShortText",
            json.dumps("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("ShortText", '"Jose\\u0301"', "José"),
        ("ShortText", '"Ada\\u00a0\\u3000Lovelace"', "Ada  Lovelace"),
        ("ShortText", '"\\ufeffA\\u200bd\\u00ada\\u200d\\u2060\\u200f"', "Ada"),
        ("ShortText", '"A\\ufe0fd\\u200ca"', "Ada"),
        ("ShortText", json.dumps("Ada\U000e0041\U000e0042"), "Ada"),
        ("ShortText", json.dumps("1\ufe0f\u20e3"), "1\ufe0f\u20e3"),
        ("ShortText", json.dumps("\u8fbb\U000e0100"), "\u8fbb\U000e0100"),
        ("ShortText", json.dumps("\U0001f3f4\U000e0067\U000e007f"), "\U0001f3f4\U000e0067\U000e007f"),
        ("LongText", '"Jose\\u0301\\u00a0!"', "José\u00a0!"),
        ("Day", '"2024-02-29"', date(2024, 2, 29)),
        ("UtcDatetime", '"2026-01-31T12:00:00+02:00"', datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_valid_value_is_accepted(kind: str, text: str, value: object) -> None:
    adapter = TypeAdapter(getattr(types, kind))
    # Frameworks parse the JSON of a body before validation, so both ways must agree.
    for read in (adapter.validate_json(text), adapter.validate_python(json.loads(text))):
        assert read == value
        assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("PositiveInt", "0"),
        ("NonNegativeInt", "-1"),
        ("NonNegativeInt", "2147483648"),
        ("NonNegativeInt", '"1"'),
        ("Flag", '"yes"'),
        ("Flag", '"1"'),
        ("Flag", '"True"'),
        ("PositiveInt", "-1"),
        ("PositiveInt", "2147483648"),
        ("PositiveInt", "true"),
        ("PositiveInt", "1.5"),
        ("PositiveInt", '"1"'),
        ("PositiveInt", "null"),
        ("Money", "0"),
        ("Money", "0.00"),
        ("Money", "-0.01"),
        ("Money", "0.001"),
        ("Money", "10000000000"),
        ("Money", "true"),
        ("Money", '"NaN"'),
        ("Money", '"Infinity"'),
        ("Money", '"1,50"'),
        ("PathId", "0"),
        ("PathId", "9007199254740992"),
        ("BodyId", '"7"'),
        ("BodyId", "true"),
        ("ShortText", '""'),
        ("ShortText", '" "'),
        ("ShortText", '"\\u3000"'),
        ("ShortText", '"\\u200b\\u200b"'),
        ("ShortText", '"\\u3164"'),
        ("ShortText", '"\\ufeff \\u2060"'),
        ("ShortText", '"Ada\\u202eecalevoL"'),
        ("ShortText", json.dumps("\U000e0041\u200d")),
        ("ShortText", json.dumps("a" + "\u0301" * 31)),
        ("LongText", json.dumps("a" + "\u0301" * 31)),
        ("ShortText", '"a\\nb"'),
        ("ShortText", '"a\\u0000b"'),
        ("ShortText", '"a\\u0085b"'),
        ("ShortText", json.dumps("x" * 201)),
        ("ShortText", "1"),
        ("LongText", '"\\n \\t"'),
        ("LongText", '""'),
        ("LongText", '"a\\u0000b"'),
        ("LongText", '"a\\u001bb"'),
        ("LongText", json.dumps("x" * 10_001)),
        ("Day", "0"),
        ("Day", "1769817600"),
        ("Day", '"1769817600"'),
        ("Day", '"2026-1-31"'),
        ("Day", '"2026-02-29"'),
        ("Day", '"2026-01-31T00:00:00Z"'),
        ("Day", '"2026-01-31\\n"'),
        ("Day", "true"),
        ("UtcDatetime", '"2026-01-31T12:00:00"'),
        ("UtcDatetime", '"2026-01-31"'),
        ("UtcDatetime", "1769860800"),
        ("UtcDatetime", '"1769860800"'),
        ("UtcDatetime", '"9999-12-31T23:59:59-12:00"'),
        ("UtcDatetime", '"0001-01-01T00:00:00+12:00"'),
    ],
)
def test_invalid_value_is_refused(kind: str, text: str) -> None:
    adapter = TypeAdapter(getattr(types, kind))
    with pytest.raises(ValidationError):
        adapter.validate_json(text)
    with pytest.raises(ValidationError):
        adapter.validate_python(json.loads(text))


def test_zero_error_says_must_be_positive() -> None:
    with pytest.raises(ValidationError, match="must be positive"):
        TypeAdapter(types.Money).validate_python(0)


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("ShortText", " ", "must not be blank"),
        ("ShortText", "a\nb", "must be one line of text, without control characters"),
        ("LongText", "", "must not be blank"),
        ("LongText", "a\x00b", "must not contain control characters"),
        ("ShortText", "e" + "\u0301" * 31, "must not have more than 30 combining marks in a row"),
    ],
)
def test_invalid_text_is_explained_in_words(kind: str, text: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=f"Value error, {sentence} "):
        TypeAdapter(getattr(types, kind)).validate_python(text)


@pytest.mark.parametrize("kind", ["ShortText", "LongText"])
def test_json_schema_of_text_has_pattern_and_length(kind: str) -> None:
    schema = TypeAdapter(getattr(types, kind)).json_schema()
    assert {"pattern", "maxLength"} <= schema.keys()
    assert re.search(schema["pattern"], "a")
    assert not re.search(schema["pattern"], "a\x00")


@pytest.mark.parametrize("kind", ["PositiveInt", "Money"])
def test_json_schema_excludes_zero(kind: str) -> None:
    schema = TypeAdapter(getattr(types, kind)).json_schema()
    assert 0 in {option.get("exclusiveMinimum") for option in (schema, *schema.get("anyOf", []))}


def test_money_is_exact_and_times_are_utc() -> None:
    assert TypeAdapter(Money).dump_json(Decimal("0.10")) == b'"0.10"'
    noon = TypeAdapter(UtcDatetime).validate_python("2026-01-31T13:00:00+01:00")
    assert TypeAdapter(UtcDatetime).dump_json(noon) == b'"2026-01-31T12:00:00Z"'


class Label(BaseSchema):
    text: ShortText
    font_size: PositiveInt = Field(default=1, alias="fontSize")


class Row(NamedTuple):
    text: str
    fontSize: int  # noqa: N815 -- the alias


def test_schema_strips_blanks_before_validation() -> None:
    assert Label(text="  a b ").text == "a b"
    with pytest.raises(ValidationError):
        Label(text=" \t ")


def test_schema_refuses_unknown_fields() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Label.model_validate({"text": "a", "colour": "red"})


def test_schema_accepts_field_name_and_alias() -> None:
    assert Label.model_validate({"text": "a", "font_size": 2}) == Label.model_validate_json('{"text":"a","fontSize":2}')


def test_schema_reads_object_attributes() -> None:
    assert Label.model_validate(Row("a", 3)) == Label(text="a", font_size=3)


def test_page_refuses_invalid_items() -> None:
    page = Page[Label](items=[Label(text="a")], page=1, size=20, total=1)
    assert Page[Label].model_validate_json(page.model_dump_json()) == page
    with pytest.raises(ValidationError):
        Page[Label].model_validate(page.model_dump() | {"items": [{}]})


def test_date_range_may_be_one_day() -> None:
    day = date(2026, 1, 31)
    assert DateRange(start_date=day, end_date=day).end_date == day


def test_date_range_refuses_an_end_before_the_start() -> None:
    with pytest.raises(ValidationError, match="end_date must not be before start_date"):
        DateRange(start_date=date(2026, 1, 31), end_date=date(2026, 1, 30))


class Card(BaseSchema):
    kind: Literal["card"]
    number: PositiveInt


class Transfer(BaseSchema):
    kind: Literal["transfer"]
    account: ShortText


class Cheque(BaseSchema):
    kind: Literal["cheque"]
    bank: Annotated[Card | Transfer, Field(discriminator="kind")]


class Payment(BaseSchema):
    method: Annotated[Card | Transfer | Cheque, DiscriminatedBy("kind")]


@pytest.mark.parametrize(
    ("method", "location", "message"),
    [
        ({"kind": "card", "number": 0}, ("method", "number"), "Input should be greater than 0"),
        ({"kind": "card", "number": 1, "account": "x"}, ("method", "account"), "Extra inputs are not permitted"),
        ({"kind": "transfer"}, ("method", "account"), "Field required"),
        ({"kind": "cash"}, ("method", "kind"), "Input should be one of 'card', 'transfer', 'cheque'"),
        (
            {"kind": "cheque", "bank": {}},
            ("method", "bank"),
            "Unable to extract tag using discriminator 'kind'",
        ),
        ({}, ("method", "kind"), "Field required"),
        (None, ("method",), "Input should be a valid dictionary or object to extract fields from"),
    ],
)
def test_union_error_points_to_the_field(method: Any, location: tuple[str, ...], message: str) -> None:
    assert Payment.model_validate({"method": {"kind": "card", "number": 1}}).method == Card(kind="card", number=1)
    with pytest.raises(ValidationError) as refused:
        Payment.model_validate({"method": method})
    [error] = refused.value.errors()
    assert (error["loc"], error["msg"].removeprefix("Value error, ")) == (location, message)


def test_union_is_documented_with_its_discriminator() -> None:
    method = Payment.model_json_schema()["properties"]["method"]
    assert method["discriminator"]["propertyName"] == "kind"
    assert len(method["oneOf"]) == 3

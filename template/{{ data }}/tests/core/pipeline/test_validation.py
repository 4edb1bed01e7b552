"""Accepted rows, and the reasons for rejected rows."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from app.core.pipeline.definition import UTC_TIME, Input
from app.core.pipeline.validation import validate

DAY = date(2026, 1, 1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PARCELS = Input(
    "parcels",
    columns={
        "id": pl.Int64(),
        "depot": pl.String(),
        "sent_at": UTC_TIME,
        "grams": pl.Int64(),
        "height": pl.Float64(),
        "fragile": pl.Boolean(),
        "due": pl.Date(),
    },
    rules={
        "grams is negative": pl.col("grams") >= 0,
        "due is before it was sent": pl.col("due") >= pl.col("sent_at").dt.date(),
    },
    day="sent_at",
)
PARCEL = {
    "id": "1",
    "depot": "north",
    "sent_at": "2026-01-01T12:00:00Z",
    "grams": "300",
    "height": "0.5",
    "fragile": "true",
    "due": "2026-01-02",
}


def reason(**row: Any) -> str | None:
    """Return why the row is rejected, or None."""
    accepted, rejected = validate(pl.DataFrame({name: [value] for name, value in row.items()}), PARCELS, DAY)
    assert len(accepted) + len(rejected) == 1
    return str(rejected["reason"].item()) if len(rejected) else None


def test_accepted_row_has_its_types_and_day() -> None:
    accepted, rejected = validate(pl.DataFrame([PARCEL | {"more": "ignored"}]), PARCELS, DAY)
    assert len(rejected) == 0
    assert accepted.to_dicts() == [
        {
            "id": 1,
            "depot": "north",
            "sent_at": NOON,
            "grams": 300,
            "height": 0.5,
            "fragile": True,
            "due": date(2026, 1, 2),
            "day": "2026-01-01",
        }
    ]
    assert accepted.schema == {**PARCELS.columns, "day": pl.String()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": None}, "id is missing"),
        ({"id": ""}, "id is not a whole number"),
        ({"grams": "1.0"}, "grams is not a whole number"),
        ({"grams": 1.5}, "grams is not a whole number"),
        ({"grams": True}, "grams is not a whole number"),
        ({"grams": "9" * 20}, "grams is not a whole number"),
        ({"grams": 2**64 - 1}, "grams is not a whole number"),
        ({"grams": "-1"}, "grams is negative"),
        ({"grams": 0}, None),
        ({"sent_at": "yesterday"}, "sent_at is not a time with its zone"),
        ({"sent_at": "2026-01-01T12:00:00"}, "sent_at is not a time with its zone"),
        ({"sent_at": NOON.replace(tzinfo=None)}, "sent_at is not a time with its zone"),
        ({"sent_at": DAY}, "sent_at is not a time with its zone"),
        ({"sent_at": NOON}, None),
        ({"sent_at": "2026-01-01 12:00:00+00"}, None),
        ({"sent_at": "2026-01-01T12:00:01.5+00:00"}, None),
        ({"sent_at": "2026-01-01T12:00Z"}, None),
        ({"sent_at": "2026-01-01 12:00+0100"}, None),
        ({"sent_at": "2026-01-01T12:00"}, "sent_at is not a time with its zone"),
        ({"sent_at": "2026-01-02T00:00:00Z"}, "sent_at is of another day"),
        ({"sent_at": "2026-01-02T00:30:00+01:00"}, None),
        ({"sent_at": "2026-01-01T00:30:00+01:00"}, "sent_at is of another day"),
        ({"height": 2}, None),
        ({"height": "1e3"}, None),
        ({"height": "1,5"}, "height is not a number"),
        ({"height": "nan"}, "height is not a number"),
        ({"height": float("inf")}, "height is not a number"),
        ({"height": True}, "height is not a number"),
        ({"fragile": False}, None),
        ({"fragile": "yes"}, "fragile is not true or false"),
        ({"fragile": 1}, "fragile is not true or false"),
        ({"due": date(2026, 1, 3)}, None),
        ({"due": "01/02/2026"}, "due is not a date"),
        ({"due": NOON}, "due is not a date"),
        ({"due": "2025-12-31"}, "due is before it was sent"),
    ],
    ids=str,
)
def test_types_and_rules_refuse_rows(change: dict[str, Any], expected: str | None) -> None:
    assert reason(**PARCEL | change) == expected


def test_rejected_row_is_kept_unchanged() -> None:
    wrong = PARCEL | {"grams": "1e3"}
    rejected = validate(pl.DataFrame([PARCEL, wrong]), PARCELS, DAY).rejected
    assert rejected.to_dicts() == [wrong | {"reason": "grams is not a whole number"}]

"""What a row must be, and what is told of one that is not."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from app.pipeline.validate import EVENTS, ORDERS, Table, validate

DAY = date(2026, 1, 1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORDER = {"id": "1", "customer_id": "2", "channel": "web", "placed_at": "2026-01-01T12:00:00Z", "total": "300"}
EVENT = {"order_id": "1", "placed_at": "2026-01-01 12:00:00+00", "kind": "paid", "at": "2026-01-01T12:00:01.5+00:00"}


def reason(table: Table, **row: Any) -> str | None:
    """Why it is rejected, or None."""
    accepted, rejected = validate(pl.DataFrame({name: [value] for name, value in row.items()}), table, DAY)
    assert len(accepted) + len(rejected) == 1
    return str(rejected["reason"].item()) if len(rejected) else None


def test_a_good_row_gets_its_types_and_its_day() -> None:
    accepted, rejected = validate(pl.DataFrame([ORDER | {"more": "ignored"}]), ORDERS, DAY)
    assert len(rejected) == 0
    assert accepted.to_dicts() == [
        {"id": 1, "customer_id": 2, "channel": "web", "placed_at": NOON, "total": 300, "day": "2026-01-01"}
    ]
    assert accepted.schema == {**ORDERS.columns, "day": pl.String()}
    assert reason(EVENTS, **EVENT) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": None}, "id is missing"),
        ({"id": ""}, "id is not a whole number"),
        ({"total": "1.0"}, "total is not a whole number"),
        ({"total": 1.5}, "total is not a whole number"),
        ({"total": True}, "total is not a whole number"),
        ({"total": "9" * 20}, "total is not a whole number"),
        ({"total": 2**64 - 1}, "total is not a whole number"),
        ({"total": "-1"}, "total is negative"),
        ({"total": 0}, None),
        ({"channel": "fax"}, "channel is not app, store or web"),
        ({"placed_at": "yesterday"}, "placed_at is not a time with its zone"),
        ({"placed_at": "2026-01-01T12:00:00"}, "placed_at is not a time with its zone"),
        ({"placed_at": NOON.replace(tzinfo=None)}, "placed_at is not a time with its zone"),
        ({"placed_at": NOON}, None),
        ({"placed_at": "2026-01-02T00:00:00Z"}, "placed_at is of another day"),
        ({"placed_at": "2026-01-02T00:30:00+01:00"}, None),
        ({"placed_at": "2026-01-01T00:30:00+01:00"}, "placed_at is of another day"),
    ],
    ids=str,
)
def test_an_order(change: dict[str, Any], told: str | None) -> None:
    assert reason(ORDERS, **ORDER | change) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "lost"}, "kind is not paid, shipped or returned"),
        ({"at": "2026-01-01T11:59:59Z"}, "at is before placed_at"),
        ({"at": "2027-01-01T00:00:00Z"}, None),
    ],
    ids=["kind", "before", "later"],
)
def test_an_event(change: dict[str, Any], told: str | None) -> None:
    assert reason(EVENTS, **EVENT | change) == told


def test_what_is_rejected_is_kept_as_it_came() -> None:
    wrong = ORDER | {"total": "1e3"}
    rejected = validate(pl.DataFrame([ORDER, wrong]), ORDERS, DAY).rejected
    assert rejected.to_dicts() == [wrong | {"reason": "total is not a whole number"}]

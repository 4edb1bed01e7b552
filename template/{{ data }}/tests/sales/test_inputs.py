"""The rules of orders and events."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from app.core.pipeline import Input, validate
from app.sales.inputs import EVENTS, ORDERS

DAY = date(2026, 1, 1)
ORDER = {"id": "1", "customer_id": "2", "channel": "web", "placed_at": "2026-01-01T12:00:00Z", "total": "300"}
EVENT = {"order_id": "1", "placed_at": "2026-01-01T12:00:00Z", "kind": "paid", "at": "2026-01-01T12:00:01Z"}


def reason(given: Input, row: dict[str, Any]) -> str | None:
    """Return why the row is rejected, or None."""
    rejected = validate(pl.DataFrame([row]), given, DAY).rejected
    return str(rejected["reason"].item()) if len(rejected) else None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"total": "0"}, None),
        ({"total": "-1"}, "total is negative"),
        ({"channel": "fax"}, "channel is not app, store or web"),
        ({"placed_at": "2026-01-02T00:00:00Z"}, "placed_at is of another day"),
    ],
    ids=str,
)
def test_order_row_is_validated(change: dict[str, Any], expected: str | None) -> None:
    assert reason(ORDERS, ORDER | change) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"at": "2027-01-01T00:00:00Z"}, None),
        ({"at": "2026-01-01T11:59:59Z"}, "at is before placed_at"),
        ({"kind": "lost"}, "kind is not paid, shipped or returned"),
    ],
    ids=str,
)
def test_event_row_is_validated(change: dict[str, Any], expected: str | None) -> None:
    assert reason(EVENTS, EVENT | change) == expected

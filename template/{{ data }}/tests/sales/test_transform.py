"""Every engine computes exactly the same daily sales."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.pipeline import ENGINES, Engine, collect, open_engine
from app.sales.inputs import EVENTS, ORDERS
from app.sales.transform import daily_sales

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCHEMAS = {table.name: {**table.columns, "day": pl.String()} for table in (ORDERS, EVENTS)}

order = st.fixed_dictionaries(
    {
        "id": st.integers(1, 5) | st.integers(-(2**63), 2**63 - 1),
        "customer_id": st.integers(1, 3),
        "channel": st.sampled_from(["app", "store", "web"]),
        "placed_at": st.just(NOON),
        "total": st.integers(0, 10**12),
        "day": st.sampled_from(["2026-01-01", "2026-01-02"]),
    }
)
event = st.fixed_dictionaries(
    {
        "order_id": st.integers(0, 6),
        "placed_at": st.just(NOON),
        "kind": st.sampled_from(["paid", "shipped", "returned"]),
        "at": st.builds(lambda seconds: NOON + timedelta(seconds=seconds), st.integers(0, 10**6)),
        "day": st.just("2026-01-01"),
    }
)
tables = st.fixed_dictionaries({"orders": st.lists(order, max_size=8), "events": st.lists(event, max_size=12)})


def by_hand(given: dict[str, list[dict[str, Any]]]) -> list[Any]:
    kinds: dict[int, set[str]] = {}
    for happened in given["events"]:
        kinds.setdefault(happened["order_id"], set()).add(happened["kind"])
    sums: dict[tuple[str, str], list[int]] = {}
    for placed in given["orders"]:
        paid = "paid" in kinds.get(placed["id"], set())
        returned = paid and "returned" in kinds[placed["id"]]
        into = sums.setdefault((placed["day"], placed["channel"]), [0, 0, 0, 0])
        for place, more in enumerate((1, paid, returned, placed["total"] * (paid - returned))):
            into[place] += more
    return [(*key, *found) for key, found in sorted(sums.items())]


def compare(name: Engine, folder: Path, examples: int) -> None:
    """Compare the engine with `by_hand` on generated orders and events."""
    with open_engine(name) as scan:

        @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
        @given(tables)
        def computes(given: dict[str, list[dict[str, Any]]]) -> None:
            for table, rows in given.items():
                (folder / table).mkdir(exist_ok=True)
                # Two files, of which one may be empty.
                for part in (0, 1):
                    frame = pl.DataFrame(rows[part::2], schema=SCHEMAS[table])
                    frame.write_parquet(folder / table / f"{part}.parquet")
            sales = collect(daily_sales(scan(folder / "orders"), scan(folder / "events")))
            assert sales.sort("day", "channel").rows() == by_hand(given)

        computes()


@pytest.mark.slow
def test_polars_computes_the_sales(tmp_path: Path) -> None:
    compare("polars", tmp_path, 50)


@pytest.mark.engines
@pytest.mark.parametrize("name", [name for name in ENGINES if name != "polars"])
def test_engine_computes_the_sales(name: Engine, tmp_path: Path) -> None:
    compare(name, tmp_path, 5 if name in {"dask", "pyspark"} else 20)  # these engines take seconds per example

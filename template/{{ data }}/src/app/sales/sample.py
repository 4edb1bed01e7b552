"""Generated orders and events for trials and benchmarks."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

FIRST = date(2026, 1, 1)
SECOND = 1_000_000
"""A second in microseconds."""


def write_sample(folder: Path, *, days: int = 7, orders: int = 1_000, seed: int = 0) -> None:
    """Write `orders/*.csv` and `events/*.parquet`, one file per day. One of 200 orders has a negative total."""
    for name in ("orders", "events"):
        (folder / name).mkdir(parents=True)
    for number in range(days):
        day = FIRST + timedelta(number)
        placed, happened = sample(day, orders, first_id=number * orders + 1, seed=seed + number)
        wrong = (pl.int_range(pl.len()) % 200 == 100).alias("wrong")
        placed.with_columns(total=pl.when(wrong).then(-pl.col("total") - 1).otherwise("total")).write_csv(
            folder / "orders" / f"{day}.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"
        )
        happened.write_parquet(folder / "events" / f"{day}.parquet")


def sample(day: date, orders: int, *, first_id: int = 1, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return orders of a day and their events: most are paid and shipped, some are returned, a few events repeat."""
    random = np.random.default_rng(seed)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND
    ids = np.arange(first_id, first_id + orders)
    placed_at = midnight + np.sort(random.integers(0, 86_400 * SECOND, orders))
    paid = random.random(orders) < 0.9
    returned = paid & (random.random(orders) < 0.1)
    paid_at = placed_at + (random.exponential(600, orders) * SECOND).astype(np.int64)
    placed = pl.DataFrame(
        {
            "id": ids,
            "customer_id": random.integers(1, orders // 3 + 2, orders),
            "channel": np.array(["app", "store", "web"])[random.choice(3, orders, p=[0.3, 0.2, 0.5])],
            "placed_at": placed_at,
            "total": np.rint(random.lognormal(8.2, 0.7, orders)).astype(np.int64),
        }
    )
    happened = pl.concat(
        pl.DataFrame({"order_id": ids[which], "placed_at": placed_at[which], "at": at[which]}).with_columns(
            kind=pl.lit(kind)
        )
        for kind, which, at in (
            ("paid", paid, paid_at),
            ("paid", paid & (ids % 50 == 0), paid_at),
            ("shipped", paid, paid_at + 43_200 * SECOND),
            ("returned", returned, paid_at + 7 * 86_400 * SECOND),
        )
    )
    times = pl.col("placed_at", "^at$").cast(pl.Datetime("us", "UTC"))
    return placed.with_columns(times), happened.with_columns(times)

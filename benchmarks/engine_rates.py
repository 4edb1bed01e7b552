"""Runs one engine once, in its own process: started by data.py with the Python of a rendered service.

    python engine_rates.py ENGINE service|alone FOLDER

Prints the seconds and the computed sums as JSON. `alone` is the transform of `app.sales.transform`, written directly
for the engine, as its documentation recommends.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

SUMS = ["orders", "paid", "returned", "revenue"]


def service(engine: str, folder: Path) -> list[int]:
    core, transform = import_module("app.core.pipeline"), import_module("app.sales.transform")
    with core.open_engine(engine) as scan:
        sales = core.collect(transform.daily_sales(scan(folder / "orders"), scan(folder / "events")))
    return list(sales.select(SUMS).sum().row(0))


def polars(folder: Path) -> list[int]:
    import polars as pl  # noqa: PLC0415 -- each process imports one engine, and pays for no other

    outcomes = (
        pl.scan_parquet(folder / "events/*.parquet")
        .group_by("order_id")
        .agg(paid=(pl.col("kind") == "paid").any(), returned=(pl.col("kind") == "returned").any())
    )
    kept = pl.col("paid") & ~pl.col("returned")
    sales = (
        pl.scan_parquet(folder / "orders/*.parquet")
        .join(outcomes, how="left", left_on="id", right_on="order_id")
        .with_columns(pl.col("paid", "returned").fill_null(value=False))
        .group_by("day", "channel")
        .agg(
            orders=pl.len(),
            paid=pl.col("paid").sum(),
            returned=(pl.col("paid") & pl.col("returned")).sum(),
            revenue=pl.col("total").filter(kept).sum(),
        )
        .collect()
    )
    return list(sales.select(SUMS).sum().row(0))


def pandas(folder: Path) -> list[int]:
    import pandas as pd  # noqa: PLC0415

    orders = pd.read_parquet(folder / "orders", columns=["id", "day", "channel", "total"])
    events = pd.read_parquet(folder / "events", columns=["order_id", "kind"])
    return _by_columns(orders, events)


def dask(folder: Path) -> list[int]:
    import dask.dataframe as dd  # noqa: PLC0415
    from distributed import Client  # noqa: PLC0415

    with Client(dashboard_address=None):
        orders = dd.read_parquet(folder / "orders", columns=["id", "day", "channel", "total"])
        events = dd.read_parquet(folder / "events", columns=["order_id", "kind"])
        return _by_columns(orders, events)


def _by_columns(orders: Any, events: Any) -> list[int]:
    """The transform of pandas and Dask."""
    kinds = {kind: (events.kind == kind).astype("int64") for kind in ("paid", "returned")}
    outcomes = events.assign(**kinds).groupby("order_id")[["paid", "returned"]].max()
    known = orders.merge(outcomes, how="left", left_on="id", right_index=True)
    known = known.assign(paid=known.paid.fillna(0).astype("int64"), returned=known.returned.fillna(0).astype("int64"))
    known = known.assign(returned=known.paid * known.returned, orders=1)
    known = known.assign(revenue=known.total * (known.paid - known.returned))
    sales = known.groupby(["day", "channel"])[SUMS].sum()
    return [int(found) for found in (sales.compute() if hasattr(sales, "compute") else sales).sum()]


def duckdb(folder: Path) -> list[int]:
    import duckdb  # noqa: PLC0415

    sales = duckdb.sql(f"""
        WITH outcomes AS (
            SELECT order_id, bool_or(kind = 'paid') AS paid, bool_or(kind = 'returned') AS returned
            FROM '{folder}/events/*.parquet' GROUP BY order_id
        )
        SELECT day, channel, count(*) AS orders, count(*) FILTER (paid) AS paid,
            count(*) FILTER (paid AND returned) AS returned,
            coalesce(sum(total) FILTER (paid AND NOT returned), 0) AS revenue
        FROM '{folder}/orders/*.parquet' LEFT JOIN outcomes ON id = order_id GROUP BY day, channel
    """).fetchall()  # noqa: S608 -- the folder is data.py's own
    return [int(sum(column)) for column in list(zip(*sales, strict=True))[2:]]


def pyspark(folder: Path) -> list[int]:
    from pyspark.sql import SparkSession  # noqa: PLC0415
    from pyspark.sql import functions as f  # noqa: PLC0415

    session = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()
    try:
        outcomes = (
            session.read.parquet(str(folder / "events"))
            .groupBy("order_id")
            .agg(
                f.max((f.col("kind") == "paid").cast("long")).alias("paid"),
                f.max((f.col("kind") == "returned").cast("long")).alias("returned"),
            )
        )
        known = session.read.parquet(str(folder / "orders")).join(outcomes, f.col("id") == f.col("order_id"), "left")
        known = known.fillna(0, ["paid", "returned"]).withColumn("returned", f.col("paid") * f.col("returned"))
        known = known.withColumn("revenue", f.col("total") * (f.col("paid") - f.col("returned")))
        sales = known.groupBy("day", "channel").agg(
            f.count("*").alias("orders"), *(f.sum(name).alias(name) for name in SUMS[1:])
        )
        return [sum(row[name] for row in sales.collect()) for name in SUMS]
    finally:
        session.stop()


ALONE: dict[str, Callable[[Path], list[int]]] = {
    function.__name__: function for function in (polars, pandas, duckdb, dask, pyspark)
}


def main() -> None:
    engine, side, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    sums = service(engine, folder) if side == "service" else ALONE[engine](folder)
    print(json.dumps({"seconds": time.perf_counter() - started, "sums": [int(found) for found in sums]}))


if __name__ == "__main__":
    main()

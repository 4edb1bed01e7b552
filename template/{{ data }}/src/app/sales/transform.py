"""The transform, written with Narwhals, so that all engines can run it."""

import narwhals as nw

from app.core.pipeline import Frame


def daily_sales(orders: Frame, events: Frame) -> Frame:
    """Return the sales by day and channel. Revenue is the total of orders that were paid and not returned.

    Repeated events count once. All sums use whole numbers, so that all engines return exactly the same result.
    """
    outcomes = (
        events.with_columns(
            paid=(nw.col("kind") == "paid").cast(nw.Int64), returned=(nw.col("kind") == "returned").cast(nw.Int64)
        )
        .group_by("order_id")
        .agg(nw.col("paid", "returned").max())
    )
    known = orders.join(outcomes, how="left", left_on="id", right_on="order_id").with_columns(
        nw.col("paid", "returned").fill_null(0).cast(nw.Int64)
    )
    return (
        known.with_columns(returned=nw.col("paid") * nw.col("returned"))
        .with_columns(revenue=nw.col("total") * (nw.col("paid") - nw.col("returned")))
        .group_by("day", "channel")
        .agg(nw.len().alias("orders"), nw.col("paid", "returned", "revenue").sum())
        .select("day", "channel", nw.col("orders", "paid", "returned", "revenue").cast(nw.Int64))
    )

"""The inputs: columns and rules of orders and events."""

import polars as pl

from app.core.pipeline import UTC_TIME, Input

ORDERS = Input(
    "orders",
    columns={
        "id": pl.Int64(),
        "customer_id": pl.Int64(),
        "channel": pl.String(),
        "placed_at": UTC_TIME,
        "total": pl.Int64(),  # in the smallest unit of the currency, such as cents
    },
    rules={
        "channel is not app, store or web": pl.col("channel").is_in(["app", "store", "web"]),
        "total is negative": pl.col("total") >= 0,
    },
    day="placed_at",
    unique="id",  # a wrong join in a SELECT could repeat orders
    partition_by="id",
)
# An event belongs to the day of its order, so that a day can be computed independently of other days.
EVENTS = Input(
    "events",
    columns={"order_id": pl.Int64(), "placed_at": UTC_TIME, "kind": pl.String(), "at": UTC_TIME},
    rules={
        "kind is not paid, shipped or returned": pl.col("kind").is_in(["paid", "shipped", "returned"]),
        "at is before placed_at": pl.col("at") >= pl.col("placed_at"),
    },
    day="placed_at",
    partition_by="order_id",
    parent="orders",
)

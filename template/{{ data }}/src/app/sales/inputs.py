"""The columns of the orders and events, and what must hold in each row."""

import polars as pl

from app.core.pipeline import UTC_TIME, Input

ORDERS = Input(
    "orders",
    columns={
        "id": pl.Int64(),
        "customer_id": pl.Int64(),
        "channel": pl.String(),
        "placed_at": UTC_TIME,
        "total": pl.Int64(),  # in the smallest unit of the currency
    },
    rules={
        "channel is not app, store or web": pl.col("channel").is_in(["app", "store", "web"]),
        "total is negative": pl.col("total") >= 0,
    },
    day="placed_at",
    unique="id",  # such as a SELECT that joins too much would repeat
    partition_by="id",
)
# An event belongs to the day on which its order was placed, so that a day is complete by itself.
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

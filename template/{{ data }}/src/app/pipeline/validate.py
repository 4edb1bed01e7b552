"""What a row must be. Whole columns are checked at once, so that checking keeps up with reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import polars as pl

from app.pipeline.errors import PipelineError

UTC = pl.Datetime("us", "UTC")
KINDS = {pl.Int64(): "a whole number", pl.String(): "a text", UTC: "a time with its zone"}


@dataclass(frozen=True, eq=False)
class Table:
    """The columns that are read, of what kind, and what must hold in each row, with the reason why one is refused."""

    name: str
    columns: Mapping[str, pl.DataType]
    rules: Mapping[str, pl.Expr]


class Checked(NamedTuple):
    """The rows of a batch: the good ones with their types and their `day`, the others as they came with a `reason`."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame


ORDERS = Table(
    "orders",
    {"id": pl.Int64(), "customer_id": pl.Int64(), "channel": pl.String(), "placed_at": UTC, "total": pl.Int64()},
    {
        "channel is not app, store or web": pl.col("channel").is_in(["app", "store", "web"]),
        "total is negative": pl.col("total") >= 0,
    },
)
EVENTS = Table(
    "events",
    {"order_id": pl.Int64(), "placed_at": UTC, "kind": pl.String(), "at": UTC},
    {
        "kind is not paid, shipped or returned": pl.col("kind").is_in(["paid", "shipped", "returned"]),
        "at is before placed_at": pl.col("at") >= pl.col("placed_at"),
    },
)


def validate(batch: pl.DataFrame, table: Table, day: date) -> Checked:
    """Tell the good rows of `batch` from the others. PipelineError when it has no such columns at all.

    A row belongs to the day, in UTC, on which its order was placed. Nothing is converted that would have to be guessed:
    1.0 and true are no whole numbers, and a time without a zone is none.
    """
    if missing := [name for name in table.columns if name not in batch.columns]:
        raise PipelineError(f"The {table.name} of {day} have no column {', '.join(missing)}.")
    raw = batch.select(table.columns.keys())
    typed = raw.select(
        *(_converted(pl.col(name), raw.schema[name], kind) for name, kind in table.columns.items()),
        *(pl.col(name).is_null().alias(f"no {name}") for name in table.columns),
    )
    wrong = {f"{name} is missing": pl.col(f"no {name}") for name in table.columns}
    wrong |= {f"{name} is not {KINDS[kind]}": pl.col(name).is_null() for name, kind in table.columns.items()}
    wrong |= {"placed_at is of another day": pl.col("placed_at").dt.date() != day}
    wrong |= {reason: ~holds for reason, holds in table.rules.items()}
    reason = typed.select(reason=pl.coalesce(pl.when(is_so).then(pl.lit(reason)) for reason, is_so in wrong.items()))
    refused = reason["reason"].is_not_null()
    accepted = typed.select(table.columns.keys()).filter(~refused).with_columns(day=pl.lit(day.isoformat()))
    return Checked(accepted, raw.hstack(reason).filter(refused))


def _converted(column: pl.Expr, given: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    if wanted == pl.String or (wanted == pl.Int64 and given.is_integer()):
        return column.cast(wanted, strict=False)
    if isinstance(given, pl.Datetime) and given.time_zone is not None:
        return column.dt.convert_time_zone("UTC").cast(UTC)
    text = column.cast(pl.String, strict=False)
    if wanted == pl.Int64:
        return text.cast(pl.Int64, strict=False)
    return text.str.replace(" ", "T", literal=True).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False
    )

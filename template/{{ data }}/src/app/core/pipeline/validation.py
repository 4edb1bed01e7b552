"""Validation of rows, column by column, so that it is as fast as reading."""

from datetime import date
from typing import NamedTuple

import polars as pl

from app.core.pipeline.definition import KINDS, UTC_TIME, Input

BOOLEANS = {"true": True, "false": False}


class Checked(NamedTuple):
    """The rows of a batch: accepted rows, converted and with `day`; rejected rows, unchanged and with a `reason`."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame


def validate(batch: pl.DataFrame, given: Input, day: date) -> Checked:
    """Check each row of `batch`, which has the columns of `given`.

    Ambiguous values are rejected: 1.0 and true are not whole numbers, and a time needs a time zone.
    """
    raw = batch.select(given.columns.keys())
    typed = raw.select(
        *(_converted(pl.col(name), raw.schema[name], kind) for name, kind in given.columns.items()),
        *(pl.col(name).is_null().alias(f"no {name}") for name in given.columns),
    )
    wrong = {f"{name} is missing": pl.col(f"no {name}") for name in given.columns}
    wrong |= {f"{name} is not {KINDS[kind]}": pl.col(name).is_null() for name, kind in given.columns.items()}
    wrong |= {f"{given.day} is of another day": pl.col(given.day).dt.date() != day}
    wrong |= {reason: ~holds for reason, holds in given.rules.items()}
    reason = typed.select(reason=pl.coalesce(pl.when(is_so).then(pl.lit(reason)) for reason, is_so in wrong.items()))
    rejected = reason["reason"].is_not_null()
    accepted = typed.select(given.columns.keys()).filter(~rejected).with_columns(day=pl.lit(day.isoformat()))
    return Checked(accepted, raw.hstack(reason).filter(rejected))


def _converted(column: pl.Expr, given: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """Return the column converted to `wanted`; null for values that do not convert exactly."""
    text = column.cast(pl.String, strict=False)
    match wanted:
        case pl.Int64() if given.is_integer():
            converted = column.cast(pl.Int64, strict=False)
        case pl.Int64():
            converted = text.cast(pl.Int64, strict=False)
        case pl.Float64():
            number = text.cast(pl.Float64, strict=False)
            converted = pl.when(number.is_finite()).then(number)
        case pl.Boolean():
            converted = text.replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)
        case pl.Date():
            converted = text.str.to_date("%Y-%m-%d", strict=False)
        case pl.Datetime() if isinstance(given, pl.Datetime) and given.time_zone is not None:
            converted = column.dt.convert_time_zone("UTC").cast(UTC_TIME)
        case pl.Datetime():
            iso = text.str.replace(" ", "T", literal=True)
            formats = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
            converted = pl.coalesce(iso.str.to_datetime(form, time_unit="us", strict=False) for form in formats)
        case _:
            converted = text
    return converted

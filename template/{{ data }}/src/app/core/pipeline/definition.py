"""The declaration of a pipeline: inputs, transform, result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from app.core.pipeline.output import Output

Frame = nw.LazyFrame[Any]
"""Rows, for any engine."""

UTC_TIME = pl.Datetime("us", "UTC")
"""The type of columns with times."""

KINDS: Mapping[pl.DataType, str] = {
    pl.Int64(): "a whole number",
    pl.Float64(): "a number",
    pl.Boolean(): "true or false",
    pl.String(): "a text",
    pl.Date(): "a date",
    UTC_TIME: "a time with its zone",
}
"""Allowed types of columns, with their names in the reason of a rejected row."""


@dataclass(frozen=True, eq=False)
class Input:
    """Rows that a pipeline reads. The command line has an option with its name.

    Raises ValueError for an invalid declaration.

    Each row must have a value in each column. Accepted rows get an additional column `day`, such as "2026-01-31".
    """

    name: str
    """Plural, lower case, such as `orders`."""

    columns: Mapping[str, pl.DataType]
    """The columns to read, with types of KINDS. Other columns are ignored."""

    rules: Mapping[str, pl.Expr]
    """Conditions that each row must meet. The key is the reason for the rejection of a row."""

    day: str
    """The column with the time that assigns a row to its day, in UTC."""

    unique: str | None = None
    """The column with values that must be unique within a day. A day with repeated values is held back."""

    partition_by: str | None = None
    """The column of whole numbers that joins the inputs. If all inputs have this column, Polars computes a large day in
    parts, split by this number, and adds up the measures."""

    parent: str | None = None
    """The input with the numbers of `partition_by` in its `unique` column. The output of a day has the number of rows
    without a parent."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"{self.name!r} is not a valid Python identifier")
        for column, kind in self.columns.items():
            if kind not in KINDS:
                raise ValueError(f"{self.name}: the column {column} is of {kind!r}, which is not one of KINDS")
        if "day" in self.columns:
            raise ValueError(f"{self.name}: the column day is added to every row, and cannot be read")
        self._check("day", self.day, UTC_TIME)
        self._check("unique", self.unique, *KINDS)
        self._check("partition_by", self.partition_by, pl.Int64())
        if self.parent is not None and self.partition_by is None:
            raise ValueError(f"{self.name}: parent needs partition_by, the column that names a row of the parent")

    def _check(self, field: str, column: str | None, *kinds: pl.DataType) -> None:
        if column is not None and self.columns.get(column) not in kinds:
            raise ValueError(f"{self.name}: {field} must name a column of {' or '.join(map(repr, kinds))}")


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline. Its result has one row for each `day` and combination of dimensions.

    Raise ValueError when the parent of an input is not valid.
    """

    description: str
    """One sentence, for `--help`."""

    inputs: tuple[Input, ...]

    transform: Callable[..., Frame]
    """Gets the accepted rows of a day, one Frame per input. Returns a Frame with `columns`. Written with Narwhals."""

    table: str
    """The PostgreSQL table, with `columns`. A run replaces the rows of a day. Also the name of the output folder."""

    dimensions: tuple[str, ...]
    """The columns that, with `day`, identify a row of the result."""

    measures: tuple[str, ...]
    """The other columns of the result. Measures of a large day's parts are added up: see `Input.partition_by`."""

    write_report: Callable[[Output], str] | None = None
    """Returns a Markdown report of all finished days. May write other files, such as plots, to `Output.path`."""

    write_sample: Callable[[Path], None] | None = None
    """Writes a folder of sample files for each input. Used when the command names no inputs."""

    def __post_init__(self) -> None:
        numbered = [given.name for given in self.inputs if given.unique and given.columns[given.unique] == pl.Int64]
        for given in self.inputs:
            if given.parent is not None and given.parent not in numbered:
                raise ValueError(f"{given.name}: parent must be an input with whole numbers in its `unique` column")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the result, in the order of writing."""
        return ("day", *self.dimensions, *self.measures)

"""What a slice declares: the inputs of its pipeline, the transform and its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from app.core.pipeline.output import Output

Frame = nw.LazyFrame[Any]
"""Rows of any engine."""

UTC_TIME = pl.Datetime("us", "UTC")
"""The kind of a column of times."""

KINDS: Mapping[pl.DataType, str] = {
    pl.Int64(): "a whole number",
    pl.Float64(): "a number",
    pl.Boolean(): "true or false",
    pl.String(): "a text",
    pl.Date(): "a date",
    UTC_TIME: "a time with its zone",
}
"""The kinds that a column can be of, as the reason of a rejected row names them."""


@dataclass(frozen=True, eq=False)
class Input:
    """Rows that a pipeline reads. The command line has an option of its name. ValueError for a wrong name or column.

    Every column must have a value in every row. An accepted row gets one column more, `day`, such as "2026-01-31".
    """

    name: str
    """Plural, in lower case, such as `orders`."""

    columns: Mapping[str, pl.DataType]
    """The columns that are read, each of one of KINDS; others are ignored."""

    rules: Mapping[str, pl.Expr]
    """What must hold in each row, by the reason why a row is rejected otherwise."""

    day: str
    """The column of times that says to which day, in UTC, a row belongs."""

    unique: str | None = None
    """The column whose values must not repeat within a day. A day where one does is held back."""

    partition_by: str | None = None
    """The column of whole numbers that joins the inputs. When each input has one, Polars computes a large day part by
    part, with the rows of the same number in the same part, and adds up the measures of the parts."""

    parent: str | None = None
    """The input whose `unique` column has the numbers of `partition_by`. Rows of a number that is not there are counted
    in the line of the day."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"{self.name!r} is not a name of letters, digits and underscores")
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
    """What is read, computed from it, and kept: a row for each `day` and value of the dimensions.

    ValueError when an input names a parent that cannot be one.
    """

    description: str
    """One sentence, for `--help`."""

    inputs: tuple[Input, ...]

    transform: Callable[..., Frame]
    """Takes the accepted rows of a day, one Frame for each input, and returns `columns` in expressions of Narwhals."""

    table: str
    """The table of PostgreSQL, with `columns`, whose rows of a day are replaced. The folder of files has its name."""

    dimensions: tuple[str, ...]
    """The columns that, with `day`, identify a row of the result."""

    measures: tuple[str, ...]
    """The other columns of the result. Those of the parts of a large day are added up: see `Input.partition_by`."""

    write_report: Callable[[Output], str] | None = None
    """Returns the report of all days that are done, as Markdown; may write files that it shows into `Output.path`."""

    write_sample: Callable[[Path], None] | None = None
    """Writes a folder of files for each input, by its name, which is read when the command names no inputs."""

    def __post_init__(self) -> None:
        numbered = [given.name for given in self.inputs if given.unique and given.columns[given.unique] == pl.Int64]
        for given in self.inputs:
            if given.parent is not None and given.parent not in numbered:
                raise ValueError(f"{given.name}: parent must be an input with whole numbers in its `unique` column")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the result, in the order in which they are written."""
        return ("day", *self.dimensions, *self.measures)

"""One run of a pipeline, day by day. Finished days are skipped."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import narwhals as nw
import polars as pl
from psycopg import AsyncConnection

from app.core.pipeline.definition import Frame, Input, Pipeline
from app.core.pipeline.engines import Scan, collect
from app.core.pipeline.errors import HeldBackError
from app.core.pipeline.output import Output, atomic_write, replace_day
from app.core.pipeline.sources import Source
from app.core.pipeline.validation import Checked, validate

MAX_ROWS_IN_MEMORY = 1_500_000
"""Maximum number of accepted rows, of all inputs together, that Polars joins in memory: about 300 MB."""

MAX_EXAMPLES = 3
"""Maximum number of repeated values in an error message."""


class Counts(NamedTuple):
    """Numbers of rows of an input on a day."""

    accepted: int
    reasons: Counter[str]
    """Numbers of rejected rows by reason."""
    unknown: int | None = None
    """Accepted rows without a row in the parent input. None for an input without a parent."""

    @property
    def rejected(self) -> int:
        return self.reasons.total()

    @property
    def total(self) -> int:
        return self.accepted + self.rejected


def is_over(day: date) -> bool:
    """Return whether the day is over in UTC, so that its rows are complete."""
    return day < datetime.now(UTC).date()


def describe(found: dict[Input, Counts]) -> str:
    """Return the counts of a day as one line."""
    return ", ".join(f"{counts.accepted:,} {given.name} ({_remarks(given, counts)})" for given, counts in found.items())


def _remarks(given: Input, counts: Counts) -> str:
    rejected = f"{counts.rejected:,} rejected"
    if counts.rejected:
        rejected += f": {_reasons(counts)}"
    return f"{rejected}; {counts.unknown:,} of unknown {given.parent}" if counts.unknown else rejected


def _reasons(counts: Counts) -> str:
    return ", ".join(f"{reason} ({number:,})" for reason, number in counts.reasons.most_common())


@dataclass(frozen=True)
class Run:
    """A run of a pipeline. With `connection`, results are also written to the table.

    `allowed` is the share of rows of an input and day that may be rejected. With `in_parts`, a day with more than
    MAX_ROWS_IN_MEMORY rows is computed in parts, for an engine that joins in memory.
    """

    pipeline: Pipeline
    sources: Sequence[Source]
    """One source per input, in the order of the inputs."""

    output: Output
    scan: Scan
    in_parts: bool
    connection: AsyncConnection | None
    allowed: float

    async def pending(self, only: Collection[date] = (), *, again: bool) -> list[date]:
        """Return the days to compute: `only`, or all past days of the sources. Without `again`, skips finished days."""
        days = {day for source in self.sources for day in await source.days()}
        wanted = set(only) or {day for day in days if is_over(day)}
        return sorted(day for day in wanted if again or not self.output.result_file(day).exists())

    async def check(self, day: date) -> dict[Input, Counts]:
        """Call `clean` with a temporary output folder."""
        with TemporaryDirectory() as folder:
            return await replace(self, output=Output(Path(folder), self.pipeline.table)).clean(day)

    async def clean(self, day: date) -> dict[Input, Counts]:
        """Write accepted rows as Parquet, and rejected rows with the reasons as CSV. Return the numbers of rows.

        Raise HeldBackError when the day is invalid. Then the accepted rows and the result of an earlier run stay.
        """
        found, folders = {}, {}
        with ExitStack() as kept:
            for source, given in zip(self.sources, self.pipeline.inputs, strict=True):
                folder = kept.enter_context(atomic_write(self.output.accepted_folder(given.name, day)))
                folder.mkdir()
                with atomic_write(self.output.rejected_file(given.name, day)) as refused:
                    found[given] = await _write(_checked(source, given, day), folder, refused)
                folders[given.name] = folder
            self._check_shares(found)
            for given in self.pipeline.inputs:
                rows = pl.scan_parquet(folders[given.name] / "*.parquet")
                if given.unique:
                    await asyncio.to_thread(_check_unique, given, given.unique, rows, found[given].accepted)
                if given.parent:
                    parent = next(other for other in self.pipeline.inputs if other.name == given.parent)
                    numbers = rows.select(number=given.partition_by)
                    known = pl.scan_parquet(folders[parent.name] / "*.parquet").select(number=parent.unique)
                    count = found[given].accepted + found[parent].accepted
                    unknown = await asyncio.to_thread(_count_unknown, numbers, known, count)
                    found[given] = found[given]._replace(unknown=unknown)
            self.output.result_file(day).unlink(missing_ok=True)  # the result of the previous rows
        return found

    async def finish(self, day: date) -> None:
        """Compute the result of a day after `clean`. Write the table, then the file, which marks the day as done."""
        result = await asyncio.to_thread(self._compute, day)
        if self.connection:
            await replace_day(self.connection, self.pipeline.table, self.pipeline.columns, day, result)
        with atomic_write(self.output.result_file(day)) as path:
            result.write_parquet(path)

    def _check_shares(self, found: dict[Input, Counts]) -> None:
        for given, counts in found.items():
            if counts.rejected > self.allowed * counts.total:
                raise HeldBackError(
                    f"{counts.rejected:,} of {counts.total:,} {given.name} are rejected, more than --allowed"
                    f" {self.allowed:g}: {_reasons(counts)}"
                )

    def _compute(self, day: date) -> pl.DataFrame:
        identity = ("day", *self.pipeline.dimensions)
        results = [collect(self.pipeline.transform(*part)) for part in self._parts(day)]
        # Do not sum a single part: without `partition_by`, measures may not be additive.
        result = results[0] if len(results) == 1 else pl.concat(results).group_by(identity).sum()
        return result.select(self.pipeline.columns).sort(identity)

    def _parts(self, day: date) -> Iterator[list[Frame]]:
        """Yield the accepted rows of a day in parts. Rows with the same `partition_by` are in the same part."""
        folders = [self.output.accepted_folder(given.name, day) for given in self.pipeline.inputs]
        frames = [self.scan(folder) for folder in folders]
        keys = [given.partition_by for given in self.pipeline.inputs]
        count = math.ceil(sum(map(_length, folders)) / MAX_ROWS_IN_MEMORY) if self.in_parts and all(keys) else 1
        if count < 2:
            yield frames
        else:
            for part in range(count):
                yield [frame.filter(nw.col(str(key)) % count == part) for frame, key in zip(frames, keys, strict=True)]


async def _checked(source: Source, given: Input, day: date) -> AsyncIterator[Checked]:
    """Yield the checked rows of a day in batches: at least one batch, which may be empty."""
    nothing = True
    async for batch in source.batches(day):
        nothing = False
        yield await asyncio.to_thread(validate, batch, given, day)
    if nothing:
        yield validate(pl.DataFrame(schema=dict.fromkeys(given.columns, pl.String)), given, day)


async def _write(batches: AsyncIterator[Checked], folder: Path, refused: Path) -> Counts:
    accepted, reasons = 0, Counter[str]()
    async for checked in batches:
        checked.accepted.write_parquet(folder / f"{accepted:012}.parquet")
        accepted += len(checked.accepted)
        if len(checked.rejected):
            with refused.open("ab") as file:
                checked.rejected.write_csv(file, include_header=not reasons)
        reasons.update(dict(checked.rejected["reason"].value_counts().iter_rows()))
    return Counts(accepted, reasons)


def _check_unique(given: Input, column: str, rows: pl.LazyFrame, count: int) -> None:
    """Raise HeldBackError with examples when values of `column` repeat."""
    more, examples = 0, set[Any]()
    for part in _hashed(rows, column, count):
        repeated = part.group_by(column).len().filter(pl.col("len") > 1).collect()
        more += sum(repeated["len"]) - len(repeated)
        examples.update(repeated[column].bottom_k(MAX_EXAMPLES))
    if more:
        values = ", ".join(map(str, sorted(examples)[:MAX_EXAMPLES]))
        raise HeldBackError(f"{more:,} of the {given.name} repeat the {column} of another, such as {values}")


def _count_unknown(numbers: pl.LazyFrame, known: pl.LazyFrame, count: int) -> int:
    parts = zip(_hashed(numbers, "number", count), _hashed(known, "number", count), strict=True)
    unknown = (some.join(those, on="number", how="anti").select(pl.len()) for some, those in parts)
    return sum(rows.collect().item() for rows in unknown)


def _hashed(rows: pl.LazyFrame, column: str, count: int) -> Iterator[pl.LazyFrame]:
    """Return the values of a column in parts that fit into memory. Equal values are in the same part."""
    parts = math.ceil(count / MAX_ROWS_IN_MEMORY)
    return (rows.select(column).filter(pl.col(column).hash() % parts == part) for part in range(parts))


def _length(folder: Path) -> int:
    rows: int = pl.scan_parquet(folder / "*.parquet").select(pl.len()).collect().item()
    return rows

"""A day from its sources to its sales. What is done once is not done again."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import narwhals as nw
import polars as pl
from polars.exceptions import PolarsError
from psycopg import AsyncConnection

from app.pipeline.engines import Scan, collect
from app.pipeline.errors import HeldBackError, PipelineError
from app.pipeline.extract import Source
from app.pipeline.load import replace_day, whole
from app.pipeline.transform import COLUMNS, Frame, daily_sales
from app.pipeline.validate import EVENTS, ORDERS, Checked, Table, validate

REPORT = "report.md"
"""What people read, beside the files: the last that is written."""

ORDERS_AT_ONCE = 1_000_000
"""That are joined with their events in memory: some 300 MB of them."""


class Counts(NamedTuple):
    """Rows of a day."""

    accepted: int
    rejected: int

    @property
    def share(self) -> float:
        """How many of them were rejected, between 0 and 1."""
        return self.rejected / max(1, self.accepted + self.rejected)


def is_over(day: date) -> bool:
    """Whether no more orders can come: in UTC, as all days of the pipeline."""
    return day < datetime.now(UTC).date()


def told(found: dict[Table, Counts]) -> str:
    """What was found, as people read it."""
    return ", ".join(
        f"{counts.accepted:,} {table.name} ({counts.rejected:,} rejected)" for table, counts in found.items()
    )


@dataclass(frozen=True)
class Pipeline:
    """What is read, what computes, and where it goes: with a connection, also into the table `daily_sales`.

    Of the rows of a day, the share `allowed` may be rejected. With `in_parts`, a day of more than ORDERS_AT_ONCE is
    computed part by part, for an engine that joins in memory.
    """

    orders: Source
    events: Source
    output: Path
    scan: Scan
    in_parts: bool
    connection: AsyncConnection | None
    allowed: float

    async def pending(self, only: Collection[date] = (), *, again: bool) -> list[date]:
        """The days that are not done yet, or with `again` all: `only` those, or what either source has of days past."""
        days = {*await self.orders.days(), *await self.events.days()}
        wanted = set(only) or {day for day in days if is_over(day)}
        return sorted(day for day in wanted if again or not self._sales(day).exists())

    async def check(self, day: date) -> dict[Table, Counts]:
        """What would be accepted and rejected; nothing is written. HeldBackError when the day could not be done."""
        found = {}
        for source, table in self._sources():
            sizes = [tuple(map(len, checked)) async for checked in _checked(source, table, day)]
            found[table] = Counts(*map(sum, zip(*sizes, strict=True)))
        self._let_through(found)
        return found

    async def clean(self, day: date) -> dict[Table, Counts]:
        """Keep what is accepted as Parquet, and what is rejected, with the reason, as CSV.

        HeldBackError when the day cannot be done: what was accepted and computed before, if anything, stays.
        """
        found, folders = {}, {}
        with ExitStack() as kept:
            for source, table in self._sources():
                folder = folders[table] = kept.enter_context(whole(self._clean(table, day)))
                folder.mkdir()
                accepted = rejected = 0
                with whole(self.output / "rejected" / table.name / f"{day}.csv") as refused:
                    async for checked in _checked(source, table, day):
                        checked.accepted.write_parquet(folder / f"{accepted:012}.parquet")
                        accepted += len(checked.accepted)
                        if len(checked.rejected):
                            with refused.open("ab") as file:
                                checked.rejected.write_csv(file, include_header=not rejected)
                        rejected += len(checked.rejected)
                found[table] = Counts(accepted, rejected)
            self._let_through(found)
            await asyncio.to_thread(_each_once, folders[ORDERS], found[ORDERS].accepted)
            self._sales(day).unlink(missing_ok=True)  # they are of other rows from here on
        return found

    async def finish(self, day: date) -> None:
        """Compute the sales of a clean day, and hand them over. The file comes last: with it, the day is done."""
        sales = await asyncio.to_thread(self._compute, day)
        if self.connection:
            await replace_day(self.connection, day, sales)
        with whole(self._sales(day)) as path:
            sales.write_parquet(path)

    def _let_through(self, found: dict[Table, Counts]) -> None:
        if any(counts.share > self.allowed for counts in found.values()):
            raise HeldBackError(told(found))

    def _compute(self, day: date) -> pl.DataFrame:
        sales = pl.concat([collect(daily_sales(*part)) for part in self._parts(day)])
        return sales.group_by("day", "channel").sum().select(COLUMNS).sort("day", "channel")

    def _parts(self, day: date) -> Iterator[tuple[Frame, Frame]]:
        """The clean orders and events of a day; an order is in the same part as its events."""
        orders, events = (self.scan(self._clean(table, day)) for table in (ORDERS, EVENTS))
        count = math.ceil(self._orders(day) / ORDERS_AT_ONCE) if self.in_parts else 1
        if count < 2:
            yield orders, events
        else:
            for part in range(count):
                yield orders.filter(nw.col("id") % count == part), events.filter(nw.col("order_id") % count == part)

    def _orders(self, day: date) -> int:
        found: int = pl.scan_parquet(self._clean(ORDERS, day) / "*.parquet").select(pl.len()).collect().item()
        return found

    def _sources(self) -> tuple[tuple[Source, Table], ...]:
        return (self.orders, ORDERS), (self.events, EVENTS)

    def _clean(self, table: Table, day: date) -> Path:
        return self.output / "clean" / table.name / str(day)

    def _sales(self, day: date) -> Path:
        return self.output / "daily_sales" / f"{day}.parquet"


def _each_once(folder: Path, orders: int) -> None:
    """See that no order is counted twice, such as by a SELECT that joins too much; in parts, as they are computed."""
    ids, count = pl.scan_parquet(folder / "*.parquet").select("id"), math.ceil(orders / ORDERS_AT_ONCE)
    parts = (ids.filter(pl.col("id") % count == part) for part in range(count))
    if more := orders - sum(part.unique().select(pl.len()).collect().item() for part in parts):
        raise HeldBackError(f"{more:,} rows repeat an order")


async def _checked(source: Source, table: Table, day: date) -> AsyncIterator[Checked]:
    """The rows of a day, told apart, batch by batch: at least one, which may be empty."""
    nothing = True
    try:
        async for batch in source.batches(day):
            nothing = False
            yield await asyncio.to_thread(validate, batch, table, day)
    except PolarsError as error:
        raise PipelineError(f"The {table.name} of {day} cannot be read: {str(error).splitlines()[0]}.") from error
    if nothing:
        yield validate(pl.DataFrame(schema=dict.fromkeys(table.columns, pl.String)), table, day)

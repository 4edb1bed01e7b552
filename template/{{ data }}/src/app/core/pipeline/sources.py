"""Sources of rows, read in batches: one Parquet or CSV file per day, or a query of PostgreSQL."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import polars as pl
from polars.exceptions import PolarsError
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from app.core.pipeline.csv_files import check_header, describe_columns, find_fault
from app.core.pipeline.definition import Input
from app.core.pipeline.errors import HeldBackError, MalformedError, PipelineError

BATCH = 100_000
"""Rows per batch."""

PARQUET_KINDS = {pl.Null, pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Datetime}
"""Accepted types of Parquet columns, in addition to numbers. Other types have no text form for rejected rows."""


class Source(Protocol):
    """A source of rows, which are read one day at a time."""

    async def days(self) -> list[date]:
        """Return the days with rows, sorted."""
        ...

    def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """Check the columns, then yield the rows of a day, which may be none.

        Raise HeldBackError for a missing or malformed day. Raise PipelineError for an error that concerns all days.
        """
        ...


class Folder:
    """A folder with one file per day: `2026-01-31.csv` or `2026-01-31.parquet`."""

    def __init__(self, given: Input, path: Path) -> None:
        self._input = given
        self._path = path

    async def days(self) -> list[date]:
        """Return the days with a file. Raise PipelineError for a missing folder, or for two files of one day."""
        if not self._path.is_dir():
            raise PipelineError(f"There is no folder {self._path}.")
        days = sorted(_day(path) for path in self._path.iterdir() if not path.name.startswith((".", "_")))
        if twice := [day for day, following in pairwise(days) if day == following]:
            raise PipelineError(f"{self._path} has two files of {twice[0]}: leave one of them.")
        return days

    async def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows of a day; all values of a CSV file are text. Raise HeldBackError without a readable file."""
        text, parquet = (self._path / f"{day}.{kind}" for kind in ("csv", "parquet"))
        if not (text.exists() or parquet.exists()):
            raise HeldBackError(f"no file in {self._path}")
        read, path = (self._csv, text) if text.exists() else (self._parquet, parquet)
        try:
            batches = await asyncio.to_thread(read, path)
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                yield batch
        except PolarsError as error:
            fault = await asyncio.to_thread(find_fault, path) if path == text else None
            raise fault or MalformedError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error
        except OSError as error:
            raise MalformedError(f"{path} cannot be read: {error.strerror or error}.") from error

    def _csv(self, path: Path) -> Iterator[pl.DataFrame]:
        check_header(path, self._input)
        batches = pl.scan_csv(path, infer_schema=False, glob=False).collect_batches(chunk_size=BATCH)
        return (batch.filter(~pl.all_horizontal(pl.all().is_null())) for batch in batches)  # skip blank lines

    def _parquet(self, path: Path) -> Iterator[pl.DataFrame]:
        rows = pl.scan_parquet(path, glob=False)
        schema = rows.collect_schema()
        if fault := describe_columns(schema.names(), self._input):
            raise MalformedError(f"{path}: {fault}; found {', '.join(schema.names())}.")
        for name in self._input.columns:
            if not (schema[name].is_numeric() or schema[name].base_type() in PARQUET_KINDS):
                raise MalformedError(f"{path}: the column {name} is {schema[name]}. Write it as text, number or time.")
        return rows.select(self._input.columns.keys()).collect_batches(chunk_size=BATCH)


class Query:
    """A SELECT. `Input.day` names the column that assigns a row to its day."""

    def __init__(self, given: Input, select: str, connection: AsyncConnection) -> None:
        self._input = given
        # SQL of the operator, who has access to the database anyway: not an injection.
        self._rows = SQL(f"({select.strip().rstrip(';')}\n) AS given")
        self._day = Identifier(given.day)
        self._connection = connection

    async def days(self) -> list[date]:
        """Return the days with rows, in UTC. Raise PipelineError for a row without a time."""
        select = SQL("SELECT DISTINCT ({} AT TIME ZONE 'UTC')::date FROM {} ORDER BY 1")
        found = await self._connection.execute(select.format(self._day, self._rows))
        days = [day for (day,) in await found.fetchall()]
        if None in days:
            raise PipelineError(
                f"The {self._input.name} have rows without {self._input.day}, which are of no day: leave them out."
            )
        return days

    async def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows of a day, all values as text. Uses COPY, so that unread rows stay in the server."""
        rows = SQL(
            "COPY (SELECT * FROM {rows} WHERE {time} >= {day}::timestamp AT TIME ZONE 'UTC'"
            " AND {time} < ({day}::timestamp + interval '1 day') AT TIME ZONE 'UTC') TO STDOUT (FORMAT csv, HEADER)"
        ).format(rows=self._rows, time=self._day, day=str(day))
        async with self._connection.cursor() as cursor, cursor.copy(rows) as copy:
            header = bytes(await copy.read())
            names = next(csv.reader([header.decode()]))
            if fault := describe_columns(names, self._input):
                raise PipelineError(f"The SELECT of {self._input.name} has {fault}; found {', '.join(names)}.")
            lines: list[bytes] = []
            async for line in copy:
                lines.append(bytes(line))
                if len(lines) == BATCH:
                    yield _frame(header, lines)
                    lines = []
            yield _frame(header, lines)


def _day(path: Path) -> date:
    try:
        day = date.fromisoformat(path.stem)
    except ValueError:
        day = None
    if day is None or str(day) != path.stem or path.suffix not in {".csv", ".parquet"}:
        raise PipelineError(f"{path} is not named after its day, like 2026-01-31.csv or 2026-01-31.parquet.")
    return day


def _frame(header: bytes, lines: list[bytes]) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(header + b"".join(lines)), infer_schema=False)

"""Where rows come from, batch by batch: Parquet and CSV files, one a day, or a query that PostgreSQL answers."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import polars as pl
from psycopg import AsyncConnection
from psycopg.sql import SQL

from app.pipeline.errors import HeldBackError, PipelineError

BATCH = 100_000
"""Rows that are held at a time."""


class Source(Protocol):
    """Rows by their day."""

    async def days(self) -> list[date]:
        """The days that there are rows of, in order."""
        ...

    def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """The rows of that day. HeldBackError when it is not there: one without rows is another thing."""
        ...


class Folder:
    """Files that are named after their day: `2026-01-31.csv`, `2026-01-31.parquet`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def days(self) -> list[date]:
        """The days that there are files of. PipelineError when there is no such folder, or not one file for each."""
        if not self._path.is_dir():
            raise PipelineError(f"There is no folder {self._path}.")
        days = sorted(_day(path) for path in self._path.iterdir() if not path.name.startswith((".", "_")))
        if twice := [day for day, following in pairwise(days) if day == following]:
            raise PipelineError(f"{self._path} has two files of {twice[0]}: leave one of them.")
        return days

    async def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """The rows of that day; those of a CSV file are all text."""
        text, parquet = (self._path / f"{day}.{kind}" for kind in ("csv", "parquet"))
        if not (text.exists() or parquet.exists()):
            raise HeldBackError(f"no file in {self._path}")
        scan = pl.scan_csv(text, infer_schema=False) if text.exists() else pl.scan_parquet(parquet)
        batches = scan.collect_batches(chunk_size=BATCH)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            yield batch


class Query:
    """A SELECT, whose column `placed_at` says to which day a row belongs."""

    def __init__(self, name: str, select: str, connection: AsyncConnection) -> None:
        self._name = name
        # The operator's own, who has the database's address anyhow.
        self._rows = SQL(f"({select.strip().rstrip(';')}\n) AS given")
        self._connection = connection

    async def days(self) -> list[date]:
        """The days, in UTC, that it has rows of. PipelineError when there are rows of none."""
        select = SQL("SELECT DISTINCT (placed_at AT TIME ZONE 'UTC')::date FROM {} ORDER BY 1")
        found = await self._connection.execute(select.format(self._rows))
        days = [day for (day,) in await found.fetchall()]
        if None in days:
            raise PipelineError(f"The {self._name} have rows without placed_at, which are of no day: leave them out.")
        return days

    async def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """The rows of that day, all text, by COPY: what is not read yet waits in the server."""
        rows = SQL(
            "COPY (SELECT * FROM {} WHERE placed_at >= {day}::timestamp AT TIME ZONE 'UTC'"
            " AND placed_at < ({day}::timestamp + interval '1 day') AT TIME ZONE 'UTC') TO STDOUT (FORMAT csv, HEADER)"
        ).format(self._rows, day=str(day))
        async with self._connection.cursor() as cursor, cursor.copy(rows) as copy:
            header = bytes(await copy.read())
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

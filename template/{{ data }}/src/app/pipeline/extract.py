"""Where rows come from, batch by batch: Parquet and CSV files, one a day, or a query that PostgreSQL answers."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl
from psycopg import AsyncConnection
from psycopg.sql import SQL

from app.pipeline.errors import PipelineError

BATCH = 100_000
"""Rows that are held at a time."""


class Source(Protocol):
    """Rows by their day."""

    async def days(self) -> list[date]:
        """The days that there are rows of, in order."""
        ...

    def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """The rows of that day."""
        ...


class Folder:
    """Files that are named after their day: `2026-01-31.csv`, `2026-01-31.parquet`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def days(self) -> list[date]:
        """The days that there are files of. PipelineError when a file has another name, or there is no such folder."""
        if not self._path.is_dir():
            raise PipelineError(f"There is no folder {self._path}.")
        return sorted({_day(path) for path in self._path.iterdir() if not path.name.startswith((".", "_"))})

    async def batches(self, day: date) -> AsyncIterator[pl.DataFrame]:
        """The rows of that day; those of a CSV file are all text."""
        for path in sorted(self._path.glob(f"{day}.*")):
            scan = pl.scan_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.scan_parquet(path)
            batches = scan.collect_batches(chunk_size=BATCH)
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                yield batch


class Query:
    """A SELECT, whose column `placed_at` says to which day a row belongs."""

    def __init__(self, select: str, connection: AsyncConnection) -> None:
        # The operator's own, who has the database's address anyhow.
        self._rows = SQL(f"({select.strip().rstrip(';')}\n) AS given")
        self._connection = connection

    async def days(self) -> list[date]:
        """The days, in UTC, that it has rows of."""
        days = SQL(
            "SELECT DISTINCT (placed_at AT TIME ZONE 'UTC')::date FROM {} WHERE placed_at IS NOT NULL ORDER BY 1"
        )
        found = await self._connection.execute(days.format(self._rows))
        return [day for (day,) in await found.fetchall()]

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
    if day is None or path.suffix not in {".csv", ".parquet"}:
        raise PipelineError(f"{path} is not named after its day, like 2026-01-31.csv or 2026-01-31.parquet.")
    return day


def _frame(header: bytes, lines: list[bytes]) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(header + b"".join(lines)), infer_schema=False)
